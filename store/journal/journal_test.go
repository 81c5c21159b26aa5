//go:build linux

package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fieldbridge/needtest"
)

const killEnv = "FIELDBRIDGE_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(killEnv); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

var queueID = [16]byte{1, 2, 3}

// memoryDir returns a folder on tmpfs.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "journal")
	if err == nil {
		err = Check(dir)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs a tmpfs at /dev/shm:", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// record is what a process had left.
type record struct {
	place uint64
	body  string
}

// reopen opens the journal and returns what was in it.
func reopen(t testing.TB, path string, size int) (*Journal, Left, []record) {
	t.Helper()
	var got []record
	j, left, err := Open(path, queueID, size, func(place uint64, body []byte) {
		got = append(got, record{place, string(body)})
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, left, got
}

func mustAppend(t testing.TB, j *Journal, body string) uint64 {
	t.Helper()
	place, err := j.Append([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornInTheMiddle: what lies behind a record that is torn never comes back, though
// the next run's records end where one of it begins.
func TestTornInTheMiddle(t *testing.T) {
	path := filepath.Join(memoryDir(t), "j")
	j, _, _ := reopen(t, path, 4096)
	mustAppend(t, j, "first")
	second := mustAppend(t, j, "second")
	mustAppend(t, j, "third")
	j.at(second)[recordHead] ^= 1
	mustClose(t, j)
	j, _, got := reopen(t, path, 4096)
	if len(got) != 1 || got[0].body != "first" {
		t.Fatalf("got %v", got)
	}
	if err := j.Begin([8]byte{'r'}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, "fourth")
	mustClose(t, j)
	j, _, got = reopen(t, path, 4096)
	defer mustClose(t, j)
	if len(got) != 1 || got[0].body != "fourth" {
		t.Errorf("got %v", got)
	}
}

// TestAgainstModel appends and releases at random over many laps, and reopens
// now and then: what was not released is there, whole and in order.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(memoryDir(t), "j")
	const size = 4096
	j, _, got := reopen(t, path, size)
	if len(got) != 0 {
		t.Fatalf("a new journal has %v", got)
	}
	var model []record
	full := 0
	for i := range 20_000 {
		switch random.IntN(20) {
		default:
			body := strings.Repeat(string(rune('a'+i%26)), random.IntN(300))
			place, err := j.Append([]byte(body))
			if errors.Is(err, ErrFull) {
				full++
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			model = append(model, record{place, body})
		case 0, 1:
			if len(model) == 0 {
				continue
			}
			n := 1 + random.IntN(len(model))
			to := j.Head()
			if n < len(model) {
				to = model[n].place
			}
			if err := j.Release(to); err != nil {
				t.Fatal(err)
			}
			model = model[n:]
		case 3:
			mustClose(t, j)
			var left Left
			if j, left, got = reopen(t, path, size); left != (Left{}) {
				t.Fatalf("left %+v", left)
			}
			if fmt.Sprint(got) != fmt.Sprint(model) {
				t.Fatalf("after %d steps: got %v\nwant %v", i, got, model)
			}
		}
	}
	if full == 0 {
		t.Error("the ring was never full: the test tries nothing")
	}
	mustClose(t, j)
}

func TestForeign(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(file []byte) []byte
		want   string
	}{
		"another queue":  {func(b []byte) []byte { b[16]++; return seal(b) }, "another queue's"},
		"another boot":   {func(b []byte) []byte { b[32]++; return seal(b) }, "before the machine was started"},
		"another format": {func(b []byte) []byte { b[6] = '9'; return seal(b) }, "another format"},
		"header":         {func(b []byte) []byte { b[20]++; return b }, "header is damaged"},
		"cut":            {func(b []byte) []byte { return b[:len(b)-8] }, "it was cut"},
		"tiny":           {func(b []byte) []byte { return b[:10] }, "not a journal"},
		"empty":          {func([]byte) []byte { return nil }, "not a journal"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(memoryDir(t), "j")
			j, _, _ := reopen(t, path, 4096)
			mustAppend(t, j, "secret of another")
			mustClose(t, j)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			j, left, got := reopen(t, path, 4096)
			defer mustClose(t, j)
			if len(got) != 0 || !strings.Contains(left.Aside, tt.want) || left.Path != path+".aside" {
				t.Errorf("got %v, %+v; want it aside: %s", got, left, tt.want)
			}
			if _, err := os.Stat(left.Path); err != nil {
				t.Error(err)
			}
			mustAppend(t, j, "ours")
		})
	}
}

// seal makes the header's checksum right.
func seal(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[48:], headerSum(b))
	return b
}

// TestSymlink: who may write in the folder cannot lead us elsewhere.
func TestSymlink(t *testing.T) {
	dir := memoryDir(t)
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"j", "j.new"} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	j, left, _ := reopen(t, filepath.Join(dir, "j"), 4096)
	defer mustClose(t, j)
	mustAppend(t, j, "x")
	if b, err := os.ReadFile(victim); err != nil || !bytes.Equal(b, make([]byte, 8192)) || left.Aside == "" {
		t.Errorf("the file that the link names was changed (%v), left %+v", err, left)
	}
}

func TestNotMemory(t *testing.T) {
	_, _, err := Open(filepath.Join(t.TempDir(), "j"), queueID, 4096, nil)
	if Check(t.TempDir()) != nil && !errors.Is(err, ErrNotMemory) {
		t.Errorf("got %v, want %v", err, ErrNotMemory)
	}
}

// TestFullTmpfs: too little room is an error at the start, and once the journal
// is open a full tmpfs does not touch it.
func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs to mount a tmpfs:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "j")
	if _, _, err := Open(path, queueID, 1<<20, nil); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("got %v, want %v", err, ErrNoRoom)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	j, _, _ := reopen(t, path, 64<<10)
	defer mustClose(t, j)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the tmpfs is not full: %v", err)
	}
	for range 1000 {
		place := mustAppend(t, j, strings.Repeat("x", 1000))
		if err := j.Release(place); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGone: a file that is cut short under us is an error, not a signal.
func TestGone(t *testing.T) {
	path := filepath.Join(memoryDir(t), "j")
	j, _, _ := reopen(t, path, 64<<10)
	if err := os.Truncate(path, headerSize); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append([]byte("x")); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
	mustClose(t, j)
}

// TestTooLong: a record that can never fit changes nothing.
func TestTooLong(t *testing.T) {
	j, _, _ := reopen(t, filepath.Join(memoryDir(t), "j"), 4096)
	defer mustClose(t, j)
	if _, err := j.Append(make([]byte, 5000)); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want %v", err, ErrFull)
	}
	mustAppend(t, j, strings.Repeat("x", 4096-recordHead))
}

// told is how far the child has come, in a file of its own.
func told(path string) *uint64 {
	f, err := os.OpenFile(path+".told", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	if err := f.Truncate(8); err != nil {
		panic(err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*uint64)(unsafe.Pointer(&b[0]))
}

// writeUntilKilled appends numbered records of many sizes for ever, and keeps
// the last hundred.
func writeUntilKilled(path string) {
	last := told(path)
	var places []uint64
	var n uint64
	j, _, err := Open(path, queueID, 64<<10, func(place uint64, body []byte) {
		n = binary.LittleEndian.Uint64(body)
		places = append(places, place)
	})
	if err != nil {
		panic(err)
	}
	for {
		n++
		body := make([]byte, 8+rand.IntN(400))
		binary.LittleEndian.PutUint64(body, n)
		place, err := j.Append(body)
		if err != nil {
			panic(err)
		}
		atomic.StoreUint64(last, n)
		if places = append(places, place); len(places) > 100 {
			if err := j.Release(places[1]); err != nil {
				panic(err)
			}
			places = places[1:]
		}
	}
}

// TestKill kills a writer again and again: each record that it had told of is
// there, in order and without a gap.
func TestKill(t *testing.T) {
	path := filepath.Join(memoryDir(t), "j")
	last := told(path)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range needtest.Soak(20) {
		before := atomic.LoadUint64(last)
		child := exec.Command(self)
		child.Env = append(os.Environ(), killEnv+"="+path)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Minute); atomic.LoadUint64(last) < before+rand.Uint64N(5000)+1; {
			if time.Now().After(deadline) {
				t.Fatal("the child writes nothing")
			}
			time.Sleep(50 * time.Microsecond) // between two looks at another process, which needs a processor, too
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // its end is the kill
		j, left, got := reopen(t, path, 64<<10)
		mustClose(t, j)
		if left.Aside != "" || len(got) < 100 && atomic.LoadUint64(last) > 100 {
			t.Fatalf("%d records left, %+v", len(got), left)
		}
		var n uint64
		for i, r := range got {
			m := binary.LittleEndian.Uint64([]byte(r.body))
			if i > 0 && m != n+1 {
				t.Fatalf("record %d follows %d", m, n)
			}
			n = m
		}
		if want := atomic.LoadUint64(last); n < want {
			t.Fatalf("the last record is %d, told were %d", n, want)
		}
	}
}

// FuzzScan: no file, however damaged, makes the scan panic or read beyond it.
func FuzzScan(f *testing.F) {
	f.Add([]byte{}, uint64(0))
	f.Add(bytes.Repeat([]byte{0xff}, 256), uint64(1<<63))
	f.Fuzz(func(t *testing.T, data []byte, tail uint64) {
		r := ring{header: make([]byte, headerSize), data: make([]byte, align(len(data)+8))}
		copy(r.data, data)
		binary.LittleEndian.PutUint64(r.header[tailAt:], tail)
		if !r.sound() { // then nothing is read, see Open
			return
		}
		n := 0
		r.scan(func(_ uint64, body []byte) { n += recordHead + len(body) })
		if n > len(r.data) {
			t.Errorf("%d bytes of records in %d", n, len(r.data))
		}
		if _, ok := r.append([]byte("after")); !ok && len(r.data) > 64 && n == 0 && tail < 1<<62 {
			t.Error("no room in an empty ring")
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 400, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			j, _, _ := reopen(b, filepath.Join(memoryDir(b), "j"), 1<<20)
			defer mustClose(b, j)
			body := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				place, err := j.Append(body)
				if err != nil {
					b.Fatal(err)
				}
				if err := j.Release(place); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
