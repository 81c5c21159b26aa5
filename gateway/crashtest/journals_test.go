//go:build linux

package crashtest

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// journal is the file of the gateway's journal, "" if there is none.
func (r *rig) journal() string {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.runtime, "*.journal"))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(files) == 0 {
		return ""
	}
	return files[0]
}

// header changes a byte of a journal's header and makes its checksum right, see the
// package journal.
func header(data []byte, at int) []byte {
	data[at] ^= 1
	binary.LittleEndian.PutUint32(data[48:], crc32.Checksum(data[:48], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

// faults are what may have become of a journal between two lives, by what the next
// start finds; nil is no file. One that is set aside is told of.
var faults = []struct {
	name  string
	aside string // yes, no or maybe
	do    func(r *rig, data []byte) []byte
}{
	{"another queue's", "yes", func(_ *rig, data []byte) []byte { return header(data, 16) }},
	{"another boot's", "yes", func(_ *rig, data []byte) []byte { return header(data, 32) }},
	{"another format's", "yes", func(_ *rig, data []byte) []byte { return header(data, 6) }},
	{"another run's", "yes", func(_ *rig, data []byte) []byte { data[80] ^= 1; return data }},
	{"with a damaged tail", "yes", func(_ *rig, data []byte) []byte { data[64] ^= 1; return data }},
	{"cut", "yes", func(r *rig, data []byte) []byte { return data[:r.rnd.IntN(len(data))] }},
	{"torn", "no", func(r *rig, data []byte) []byte {
		used := 1
		for i, b := range data {
			if b != 0 {
				used = i + 1
			}
		}
		at := 4096 + r.rnd.IntN(max(1, used-4096))
		data[min(at, len(data)-1)] ^= 1 << r.rnd.IntN(8)
		return data
	}},
	{"older", "maybe", func(r *rig, data []byte) []byte {
		if r.older != nil {
			return r.older
		}
		return data
	}},
	{"gone, as with a container", "no", func(*rig, []byte) []byte { return nil }},
}

// strange puts a fault into the journal of a gateway that is dead.
func (r *rig) strange(do func(r *rig, data []byte) []byte) {
	r.t.Helper()
	file := r.journal()
	if file == "" {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	was := append([]byte(nil), data...)
	if data = do(r, data); data == nil {
		err = os.Remove(file)
	} else {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if r.older == nil || r.rnd.IntN(3) == 0 {
		r.older = was
	}
	r.total.damaged++
	r.exact, r.killed = false, nil // what the journal alone had may be gone
}

// TestStrangeJournals: whatever a gateway finds in the place of its journal, it starts,
// says so, sends nothing under two names and names what is missing.
func TestStrangeJournals(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel() // it mostly waits for other processes
			r := newRig(t, filepath.Join(t.TempDir(), "queue"), 0)
			r.runtime, _ = mountSmall(t, 48<<20)
			r.quiet = true
			r.configure()
			r.start()
			for range soak(2) {
				r.online(r.rnd.IntN(3) == 0)
				r.awaitStart()
				r.polling(1 + r.rnd.IntN(6))
				r.kill()
				r.strange(f.do)
				r.start()
				r.awaitStart()
				told := func() bool { return strings.Contains(r.health(), "journal of the queue cannot be used") }
				if f.aside == "yes" {
					r.eventually("it is told", 10*time.Second, told)
				} else if f.aside == "no" && told() {
					t.Errorf("health says\n%s", r.health())
				}
			}
			r.settle()
			t.Log(&r.total)
		})
	}
}
