package kept

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errCut = errors.New("the power fails")

func certificate(mark string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(mark)})
}

// made does all that makes an identity the current one.
func made(s *Store, mark string, way Way) error {
	i, err := s.Draft(way)
	if err != nil {
		return err
	}
	if i == nil {
		if i, err = s.Begin([]byte("key "+mark), Meta{Way: way, Made: time.Now()}); err != nil {
			return err
		}
	}
	if err := s.SetCertificate(i, certificate(mark), "token"); err != nil {
		return err
	}
	if err := s.SetThing(i, "press"); err != nil {
		return err
	}
	if err := s.Try(i); err != nil {
		return err
	}
	return s.Prove(i.Name, time.Now())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *Store, link string) *Identity {
	t.Helper()
	i, err := s.Get(link)
	must(t, err)
	return i
}

func TestLifeOfAnIdentity(t *testing.T) {
	s := In(t.TempDir())
	for _, link := range []string{Current, Next, Previous} {
		if i := get(t, s, link); i != nil {
			t.Errorf("%s of an empty store: %v", link, i)
		}
	}
	must(t, s.Sweep(time.Now()))
	if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error("looking made a folder")
	}
	empty := s.Stamp()
	must(t, made(s, "first", Claim))
	first := get(t, s, Current)
	if string(first.Key) != "key first" || first.Way != Claim || first.Thing != "press" || first.Token != "" ||
		first.Proven.IsZero() || len(first.ID()) != 64 || get(t, s, Next) != nil {
		t.Errorf("current: %+v", first)
	}
	if s.Stamp() == empty {
		t.Error("the stamp is as without it")
	}
	second, err := s.Begin([]byte("key second"), Meta{Way: Rotation})
	must(t, err)
	must(t, s.SetCertificate(second, certificate("second"), ""))
	must(t, s.Try(second))
	tried := s.Stamp()
	must(t, s.Prove(second.Name, time.Now()))
	if s.Stamp() != tried {
		t.Error("the stamp changes when the trial is passed, and the identity is the same")
	}
	must(t, made(s, "third", Rotation))
	if c, p := get(t, s, Current), get(t, s, Previous); string(c.Key) != "key third" || string(p.Key) != "key second" {
		t.Errorf("current %q, previous %q", c.Key, p.Key)
	}
	if n := folders(t, s); n != 2 {
		t.Errorf("%d folders, want current and previous", n)
	}
	must(t, s.Sweep(time.Now().Add(KeepPrevious-time.Hour)))
	must(t, s.Sweep(time.Time{}))
	if get(t, s, Previous) == nil {
		t.Error("the one before is gone before its time")
	}
	must(t, s.Sweep(time.Now().Add(KeepPrevious+time.Hour)))
	if n := folders(t, s); n != 1 || get(t, s, Previous) != nil {
		t.Errorf("%d folders after 30 days", n)
	}
	info, err := os.Stat(filepath.Join(s.Dir(), Current, keyFile))
	must(t, err)
	dir, err := os.Stat(s.Dir())
	must(t, err)
	if info.Mode().Perm() != 0o600 || dir.Mode().Perm() != 0o700 {
		t.Errorf("key %#o, folder %#o", info.Mode().Perm(), dir.Mode().Perm())
	}
}

// folders returns how many identities there are, and that nothing is half made.
func folders(t *testing.T, s *Store) int {
	t.Helper()
	all, err := os.ReadDir(s.Dir())
	must(t, err)
	n := 0
	for _, e := range all {
		if strings.HasPrefix(e.Name(), halfMade) {
			t.Errorf("%s is left", e.Name())
		}
		if e.IsDir() {
			n++
		}
	}
	return n
}

func TestForgetGoesBack(t *testing.T) {
	s := In(t.TempDir())
	must(t, made(s, "old", Claim))
	i, err := s.Begin([]byte("key new"), Meta{Way: Rotation})
	must(t, err)
	must(t, s.SetCertificate(i, certificate("new"), ""))
	must(t, s.Try(i))
	must(t, s.Forget("another"))
	must(t, s.Prove("another", time.Now()))
	if get(t, s, Next) == nil {
		t.Fatal("another's end ended the trial")
	}
	must(t, s.Forget(i.Name))
	if c := get(t, s, Current); string(c.Key) != "key old" || get(t, s, Next) != nil || folders(t, s) != 1 {
		t.Errorf("current %q", c.Key)
	}
}

// TestRootWorksForTheGateway: what root makes belongs to whoever has the state directory,
// or the folder that it is made in.
func TestRootWorksForTheGateway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const user = 65534
	for name, there := range map[string]bool{"before the first start": false, "after it": true} {
		home := t.TempDir()
		must(t, os.Chown(home, user, user))
		state := filepath.Join(home, "queue")
		if there {
			must(t, os.Mkdir(state, 0o700))
			must(t, os.Chown(state, user, user))
		}
		_, err := In(state).Begin([]byte("key"), Meta{Way: OwnCA})
		must(t, err)
		n := 0
		must(t, filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
			info, failed := os.Lstat(path)
			must(t, errors.Join(err, failed))
			if owner := info.Sys().(*syscall.Stat_t); owner.Uid != user {
				t.Errorf("%s: %s is of user %d", name, path, owner.Uid)
			}
			n++
			return nil
		}))
		if n != 6 { // home, queue, identity, the draft with its two files
			t.Errorf("%s: %d files", name, n)
		}
	}
}

// TestBack: the one before is the current one again, after a cut at each step, too.
func TestBack(t *testing.T) {
	for cut := 1; ; cut++ {
		s := In(t.TempDir())
		must(t, made(s, "old", Claim))
		must(t, made(s, "new", Rotation))
		old := get(t, s, Previous).Name
		must(t, s.Back("another"))
		if string(get(t, s, Current).Key) != "key new" {
			t.Fatal("another went back")
		}
		steps := 0
		s.step = func(string) error {
			if steps++; steps == cut {
				return errCut
			}
			return nil
		}
		err := s.Back(old)
		s.step = nil
		must(t, s.Sweep(time.Now()))
		c, p := get(t, s, Current), get(t, s, Previous)
		if err == nil {
			if string(c.Key) != "key old" || string(p.Key) != "key new" || folders(t, s) != 2 {
				t.Errorf("current %q, previous %q", c.Key, p.Key)
			}
			return
		}
		if c.Certificate == nil || string(c.Key) != "key old" && string(c.Key) != "key new" {
			t.Errorf("cut at step %d: current %q", cut, c.Key)
		}
	}
}

// TestDraftsByWay: a request that waits for a person is not taken for a claim, and
// a new draft takes the place of the one of its way.
func TestDraftsByWay(t *testing.T) {
	s := In(t.TempDir())
	own, err := s.Begin([]byte("key own"), Meta{Way: OwnCA})
	must(t, err)
	must(t, s.SetRequest(own, []byte("request")))
	if i, err := s.Draft(Claim); i != nil || err != nil {
		t.Errorf("draft %v, %v", i, err)
	}
	_, err = s.Begin([]byte("key claim"), Meta{Way: Claim})
	must(t, err)
	again, err := s.Begin([]byte("key again"), Meta{Way: Claim})
	must(t, err)
	if i, err := s.Draft(Claim); err != nil || string(i.Key) != "key again" {
		t.Errorf("draft %v, %v", i, err)
	}
	must(t, s.Discard(again))
	if i, err := s.Draft(OwnCA); err != nil || string(i.Request) != "request" || folders(t, s) != 1 {
		t.Errorf("draft %v, %v", i, err)
	}
}

// TestCutAtEachStep cuts the making of an identity, and of the one after it, before
// each change to the disk and goes on with a store that is opened afresh: there is
// always one that is whole, and its key is the one that was begun with.
func TestCutAtEachStep(t *testing.T) {
	for _, before := range []string{"", "old"} {
		for cut := 1; ; cut++ {
			dir := t.TempDir()
			s := In(dir)
			if before != "" {
				must(t, made(s, before+"er", Claim))
				must(t, made(s, before, Rotation))
			}
			steps, at := 0, ""
			s.step = func(what string) error {
				if steps++; steps == cut {
					at = what
				}
				if steps >= cut {
					return errCut
				}
				return nil
			}
			err := made(s, "new", Rotation)
			if err == nil {
				if steps < 20 {
					t.Fatalf("only %d steps", steps)
				}
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatalf("cut before %s: %v", at, err)
			}
			s = In(dir)
			must(t, s.Sweep(time.Now()))
			whole(t, s, before, at)
			finish(t, s)
			if c := get(t, s, Current); string(c.Key) != "key new" || !bytes.Equal(c.Certificate, certificate("new")) {
				t.Errorf("cut before %s: current %q", at, c.Key)
			}
			if n := folders(t, s); before == "" && n != 1 || before != "" && n != 2 {
				t.Errorf("cut before %s: %d folders at the end", at, n)
			}
		}
	}
}

// whole checks that there is the identity before, or already the new one.
func whole(t *testing.T, s *Store, before, at string) {
	t.Helper()
	c := get(t, s, Current)
	switch {
	case c == nil && before != "":
		t.Errorf("cut before %s: there is no identity", at)
	case c != nil && string(c.Key) != "key "+before && string(c.Key) != "key new":
		t.Errorf("cut before %s: current %q", at, c.Key)
	case c != nil && (len(c.Certificate) == 0 || c.Proven.IsZero()):
		t.Errorf("cut before %s: current is half a one: %+v", at, c)
	}
	if next := get(t, s, Next); next != nil && len(next.Certificate) == 0 {
		t.Errorf("cut before %s: half a one is on trial", at)
	}
}

// finish does what is left to do, as the gateway does after a start.
func finish(t *testing.T, s *Store) {
	t.Helper()
	if next := get(t, s, Next); next != nil {
		must(t, s.Prove(next.Name, time.Now()))
	}
	if c := get(t, s, Current); c == nil || string(c.Key) != "key new" {
		must(t, made(s, "new", Rotation))
	}
	must(t, s.Sweep(time.Now()))
}
