package awsiot

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// opens counts how often files of folders are opened, as the kernel tells it.
type opens struct {
	t  *testing.T
	fd int
}

func watchOpens(t *testing.T, folders ...string) *opens {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Skipf("no inotify here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	for _, f := range folders {
		if _, err := syscall.InotifyAddWatch(fd, f, syscall.IN_OPEN); err != nil {
			t.Fatal(err)
		}
	}
	return &opens{t, fd}
}

// since returns how many there were since it was called last.
func (o *opens) since() (n int) {
	o.t.Helper()
	buffer := make([]byte, 64<<10)
	for {
		size, err := syscall.Read(o.fd, buffer)
		if err == syscall.EAGAIN {
			return n
		}
		must(o.t, err)
		const name = 12 // where the length of the name stands
		for at := 0; at < size; n++ {
			at += syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buffer[at+name:]))
		}
	}
}

// knocks lets ten minutes pass while the cloud is away, and returns how many attempts
// were made and how many files opened for them.
func (r *rig) knocks(o *opens) (attempts uint64, opened int) {
	r.t.Helper()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	o.since()
	before := r.sink.attempts.Load()
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	return r.sink.attempts.Load() - before, o.since()
}

// TestKnocksReadNothing: while the cloud is away attempts look at certificate, key and
// CA, and read them only when they have changed.
func TestKnocksReadNothing(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		key := string(r.cfg.PrivateKey)
		o := watchOpens(t, filepath.Dir(string(r.cfg.Certificate)), filepath.Dir(key), filepath.Dir(string(r.cfg.CA)))
		r.cloud.Offline()
		r.start()
		if attempts, opened := r.knocks(o); attempts < 20 || opened != 0 {
			t.Errorf("%d attempts opened %d files", attempts, opened)
		}
		// A change is seen at the next attempt, be it that the file is gone or another.
		must(t, os.Rename(key, key+"~"))
		r.sink.attempt(t)
		if l := r.sink.Link(); !strings.Contains(l.Detail, "private_key") {
			t.Errorf("the key is gone: %s", l.Detail)
		}
		other, err := r.cloud.Device("gateway-2")
		must(t, err)
		must(t, os.Rename(other.PrivateKey, key))
		r.sink.attempt(t)
		if l := r.sink.Link(); !strings.Contains(l.Detail, "does not belong") {
			t.Errorf("the key is another: %s", l.Detail)
		}
		must(t, os.Rename(key+"~", key))
		must(t, r.cloud.Online())
		<-r.links
	})
}

// attempt waits for the next attempt to fail.
func (s *Sink) attempt(t *testing.T) {
	t.Helper()
	before := s.attempts.Load()
	s.nudge <- struct{}{}
	for begin := time.Now(); s.attempts.Load() == before; time.Sleep(time.Second) {
		if time.Since(begin) > time.Hour {
			t.Fatal("there is no attempt")
		}
	}
	synctest.Wait()
}

// TestKnocksOfOwnIdentityReadNothing: neither are the files of an identity that the
// gateway got for itself.
func TestKnocksOfOwnIdentityReadNothing(t *testing.T) {
	asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
		n.start()
		<-n.links
		synctest.Wait()
		store := filepath.Join(n.state, "identity")
		current, err := filepath.EvalSymlinks(filepath.Join(store, "current"))
		must(t, err)
		o := watchOpens(t, store, current, filepath.Dir(string(n.cfg.CA)))
		n.cloud.Offline()
		n.cloud.Drop("")
		if attempts, opened := n.knocks(o); attempts < 20 || opened != 0 {
			t.Errorf("%d attempts opened %d files", attempts, opened)
		}
		must(t, n.cloud.Online())
		<-n.links
	})
}
