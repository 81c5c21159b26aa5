package fetch

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// TestSizes: files that end anywhere in a block or in a byte of the bitmap.
func TestSizes(t *testing.T) {
	for _, size := range []int{
		1, blockSize - 1, blockSize, blockSize + 1, 8*blockSize + 7, 9 * blockSize, 17 * blockSize,
	} {
		bubble(t, func(r *rig) {
			data, want := content(size)
			r.put(streams.Bytes(data))
			r.start()
			if err := r.fetch(want); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			if err := r.fetch(want); err != nil { // it is there
				t.Error(err)
			}
			if got := r.cloud.Counts().Blocks; got != (size+blockSize-1)/blockSize {
				t.Errorf("%d bytes by %d blocks", size, got)
			}
			if len(r.session.subs)+len(r.session.f) != 0 {
				t.Errorf("remain: %v", r.session.subs)
			}
		})
	}
}

// TestDisturbed: blocks are lost, doubled and come in another order, and the stream is
// put under another version on the way.
func TestDisturbed(t *testing.T) {
	for seed := range uint64(8) {
		bubble(t, func(r *rig) {
			data, want := content(100*blockSize + 100)
			r.put(streams.Bytes(data))
			r.cloud.Disturb(streams.Faults{Seed: seed, Lose: 0.2, Duplicate: 0.2, Reorder: 0.5, MismatchAfter: 50})
			r.start()
			if err := r.fetch(want); err != nil {
				t.Error(err)
			}
			if c := r.cloud.Counts(); c.Lost == 0 || c.Blocks > 2*101 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestNewVersion: a stream of which there is a new version goes on if it is the same
// file, and is refused if it is as large and another.
func TestNewVersion(t *testing.T) {
	for _, same := range []bool{true, false} {
		bubble(t, func(r *rig) {
			data, want := content(40 * blockSize)
			r.put(streams.Bytes(data))
			r.start()
			changed := false
			_, err := r.fetcher.Fetch(r.Context(), want, Source{Stream: "s"}, func(percent int) {
				if percent > 30 && !changed {
					changed = true
					other := bytes.Clone(data)
					if !same {
						other[len(other)-1]++
					}
					r.put(streams.Bytes(other))
				}
			})
			if same && err != nil || !same && !errors.Is(err, ErrWrong) || !changed {
				t.Errorf("same %t: %v", same, err)
			}
			if got := r.cloud.Counts().Blocks; got != 40 {
				t.Errorf("%d blocks", got)
			}
		})
	}
}

// TestReplaced: an object that was replaced, is away or has another size is told, and
// nothing of it is kept as right.
func TestReplaced(t *testing.T) {
	data, want := content(40 * blockSize)
	for why, object := range map[string]streams.Object{
		"was replaced":           func() ([]byte, string, bool) { return data, "2", true },
		"ResourceNotFound":       func() ([]byte, string, bool) { return data, "", false },
		"and 655360 were signed": streams.Bytes(data[1:]),
	} {
		bubble(t, func(r *rig) {
			var replaced atomic.Bool
			r.put(func() ([]byte, string, bool) {
				if replaced.Load() {
					return object()
				}
				return data, "1", true
			})
			if strings.Contains(why, "signed") {
				replaced.Store(true)
			}
			r.start()
			_, err := r.fetcher.Fetch(r.Context(), want, Source{Stream: "s"}, func(percent int) { replaced.Store(percent > 30) })
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v", why, err)
			}
			if _, err := os.Stat(filepath.Join(r.o.Dir, want.SHA256)); err == nil {
				t.Errorf("%s: there is a file", why)
			}
		})
	}
}

// TestCut: the process ends again and again; each block that is on disk is fetched once.
func TestCut(t *testing.T) {
	bubble(t, func(r *rig) {
		data, want := content(200 * blockSize)
		r.put(streams.Bytes(data))
		for i := 0; ; i++ {
			r.start()
			ctx, cancel := context.WithTimeout(r.Context(), time.Second+time.Duration(i)*17*time.Millisecond)
			_, err := r.fetcher.Fetch(ctx, want, Source{Stream: "s"}, nil)
			cancel()
			if err == nil {
				break
			}
			if i > 20 || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // what is on its way arrives nowhere
		}
		if c := r.cloud.Counts(); c.Blocks > 200+20*mostBlocks {
			t.Errorf("%d blocks", c.Blocks)
		}
	})
}

// TestKilled: what a killed process leaves, in whatever state, becomes the right file.
func TestKilled(t *testing.T) {
	data, want := content(150 * blockSize)
	other := strings.Repeat("0", 64)
	for name, damage := range map[string]func(r *rig) error{
		"nothing": func(*rig) error { return nil },
		"no map":  func(r *rig) error { return os.Remove(filepath.Join(r.o.Dir, want.SHA256+".map")) },
		"half a map": func(r *rig) error {
			return os.Truncate(filepath.Join(r.o.Dir, want.SHA256+".map"), 7)
		},
		"short part": func(r *rig) error { return os.Truncate(filepath.Join(r.o.Dir, want.SHA256+".part"), 5) },
		"blocks that the disk lost": func(r *rig) error {
			f, err := os.OpenFile(filepath.Join(r.o.Dir, want.SHA256+".part"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 100), 0)
			return errors.Join(err, f.Close())
		},
		"a file of another's": func(r *rig) error {
			return os.WriteFile(filepath.Join(r.o.Dir, want.SHA256), []byte("other"), 0o600)
		},
		"what another fetch left": func(r *rig) error {
			return os.WriteFile(filepath.Join(r.o.Dir, other+".part"), []byte("other"), 0o600)
		},
		"what nobody has taken": func(r *rig) error {
			return os.WriteFile(filepath.Join(r.o.Dir, other), []byte("other"), 0o600)
		},
	} {
		bubble(t, func(r *rig) {
			r.put(streams.Bytes(data))
			r.start()
			ctx, cancel := context.WithCancel(r.Context())
			_, err := r.fetcher.Fetch(ctx, want, Source{Stream: "s"}, func(percent int) {
				if percent > 60 {
					cancel()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if err := damage(r); err != nil {
				t.Fatal(name, err)
			}
			r.start()
			if err := r.fetch(want); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if left, _ := filepath.Glob(filepath.Join(r.o.Dir, other+"*")); left != nil {
				t.Errorf("%s: %v is left", name, left)
			}
		})
	}
}

// TestConnections: a fetch waits for a connection, and outlives it.
func TestConnections(t *testing.T) {
	bubble(t, func(r *rig) {
		data, want := content(100 * blockSize)
		r.put(streams.Bytes(data))
		r.fetcher = New(r.o)
		done := make(chan error, 1)
		go func() { done <- r.fetch(want) }()
		for range 4 {
			time.Sleep(time.Hour)
			lose := r.connect()
			time.Sleep(400 * time.Millisecond)
			lose()
			synctest.Wait()
		}
		select {
		case err := <-done:
			t.Fatalf("too early: %v", err)
		default:
		}
		r.connect()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if c := r.cloud.Counts(); c.Blocks > 100+4*mostBlocks {
			t.Errorf("%d blocks", c.Blocks)
		}
	})
}

// TestGivesUp: a cloud that says nothing, or a policy that lets nothing through, ends
// the fetch; a signed order that cannot be is refused at once.
func TestGivesUp(t *testing.T) {
	bubble(t, func(r *rig) {
		data, want := content(10 * blockSize)
		r.put(streams.Bytes(data))
		r.start()
		r.session.set(func() { r.session.deaf = true })
		begun := time.Now()
		if err := r.fetch(want); err == nil || time.Since(begun) > 10*time.Minute {
			t.Errorf("silence: %v after %v", err, time.Since(begun))
		}
		r.start()
		r.session.set(func() { r.session.fail = errPolicy })
		if err := r.fetch(want); !errors.Is(err, errPolicy) {
			t.Errorf("policy: %v", err)
		}
		for name, f := range map[string]struct {
			want File
			from Source
		}{
			"no sum":      {File{"", 1}, Source{Stream: "s"}},
			"a path":      {File{"../" + want.SHA256[3:], 1}, Source{Stream: "s"}},
			"long sum":    {File{want.SHA256 + "0", 1}, Source{Stream: "s"}},
			"long stream": {want, Source{Stream: strings.Repeat("s", 129)}},
			"empty":       {File{want.SHA256, 0}, Source{Stream: "s"}},
			"too large":   {File{want.SHA256, maxStream + 1}, Source{Stream: "s"}},
			"no source":   {want, Source{}},
			"a wildcard":  {want, Source{Stream: "#"}},
			"another":     {want, Source{Stream: "s/get"}},
			"no file":     {want, Source{Stream: "s", File: 256}},
			"http":        {want, Source{URL: "http://h/f"}},
			"a file":      {want, Source{URL: "file:///etc/passwd"}},
			"with a word": {want, Source{URL: "https://me:word@h/f"}},
		} {
			if _, err := r.fetcher.Fetch(r.Context(), f.want, f.from, nil); !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		r.o.Free = func() (int64, error) { return 20*blockSize - 1, nil }
		r.start()
		if err := r.fetch(want); err == nil || !strings.Contains(err.Error(), "bytes left") {
			t.Errorf("no room: %v", err)
		}
	})
}

// TestPace: half of the uplink at most, one request at a time, and none while fresh
// readings wait.
func TestPace(t *testing.T) {
	bubble(t, func(r *rig) {
		const size, rate = 100 * blockSize, 200e3
		data, want := content(size)
		r.put(streams.Bytes(data))
		var busy atomic.Bool
		r.o.Rate, r.o.Busy = rate, busy.Load
		r.start()
		begun := time.Now()
		go func() {
			time.Sleep(5 * time.Second)
			busy.Store(true)
			time.Sleep(time.Minute)
			busy.Store(false)
		}()
		if err := r.fetch(want); err != nil {
			t.Fatal(err)
		}
		least := time.Duration(size/(rate/2)*float64(time.Second)) + 58*time.Second
		if took := time.Since(begun); took < least-2*time.Second || took > least+5*time.Second {
			t.Errorf("took %v, at least %v", took, least)
		}
		for _, at := range r.session.gets {
			if since := at.Sub(begun); since > 5*time.Second+holdFor && since < 65*time.Second {
				t.Errorf("a request after %v, while readings wait", since)
			}
		}
	})
}
