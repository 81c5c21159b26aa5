package orders

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/minisign"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/release"
	"fieldbridge/setting"
)

// shelf is a folder of releases of which none is ever executed.
type shelf struct {
	*release.Folder
	root minisign.SecretKey
	// tries are the versions that went on trial.
	tries []string
	fails error  // what Try returns
	asked func() // called before it does anything; may be nil
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	root, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{Folder: &release.Folder{Dir: filepath.Join(t.TempDir(), "releases"), Packaged: "1.0.0",
		Roots: release.Roots{root.Public()}}, root: root}
}

func (s *shelf) Try(version string, within time.Duration) error {
	if s.asked != nil {
		s.asked()
	}
	if s.fails != nil {
		return s.fails
	}
	s.tries = append(s.tries, version)
	return s.Begin(version, within)
}

// elf returns a program of this machine by its head, of so many bytes.
func elf(t *testing.T, size int) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, size)
	if _, err := file.Read(head); err != nil {
		t.Fatal(err)
	}
	return head
}

// upgrade is the order for a release of a program.
func (s *shelf) upgrade(t *testing.T, program []byte, version string, change func(*release.Manifest)) Upgrade {
	t.Helper()
	sum := sha256.Sum256(program)
	m := release.Manifest{Version: version, OS: runtime.GOOS, Arch: runtime.GOARCH, Size: int64(len(program)),
		SHA256: strings.ToUpper(hex.EncodeToString(sum[:]))}
	if change != nil {
		change(&m)
	}
	manifest, _ := json.Marshal(m)
	signature, err := s.root.Sign(manifest, "")
	if err != nil {
		t.Fatal(err)
	}
	return Upgrade{Manifest: manifest, Signature: []byte(signature)}
}

// carrier brings a program, or an error.
type carrier struct {
	dir     string
	program []byte
	err     error
	came    int
}

func (c *carrier) Fetch(_ context.Context, want fetch.File, from fetch.Source, _ func(int)) (string, error) {
	c.came++
	if c.err != nil {
		return "", c.err
	}
	if len(want.SHA256) != 64 || strings.ToLower(want.SHA256) != want.SHA256 || from.Stream != "s" {
		return "", fetch.ErrRefused
	}
	path := filepath.Join(c.dir, want.SHA256)
	return path, os.WriteFile(path, c.program, 0o600)
}

// closed is a gateway that is as usual.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// updating is the order of a job, as the opener of the tests takes it.
func updating(t *testing.T, u Upgrade) jobs.Order {
	t.Helper()
	what, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	return jobs.Order{Operation: "update", What: what, Around: []byte(`{"file":{"stream":"s"}}`)}
}

// begun is how a job stands whose release is on trial.
const begun = `IN_PROGRESS {"from":"1.0.0","step":"trial","to":"1.1.0"}`

// TestUpdateBegins tells what becomes of orders at which nothing goes on trial, and of
// those at which something does.
func TestUpdateBegins(t *testing.T) {
	program := elf(t, 4096)
	stranger := newShelf(t)
	apart := func(s *shelf) Upgrade {
		u := s.upgrade(t, program, "1.1.0", nil)
		u.Apart = setting.Duration(24 * time.Hour)
		return u
	}
	// A bubble's time begins at 2000-01-01T00:00:00Z.
	ended := func(at string) func(*shelf, *carrier) {
		return func(s *shelf, _ *carrier) {
			if err := errors.Join(os.Mkdir(s.Dir, 0o700), os.WriteFile(filepath.Join(s.Dir, "slots.json"),
				[]byte(`{"last":{"version":"1.0.5","committed":true,"at":"`+at+`"}}`), 0o600)); err != nil {
				t.Error(err)
			}
		}
	}
	for name, test := range map[string]struct {
		order func(s *shelf) Upgrade
		given func(s *shelf, c *carrier)
		want  string // how the job stands then, and a part of the error
		tries bool
		came  int
	}{
		"new": {want: begun, tries: true, came: 1},
		"there already": {given: func(s *shelf, _ *carrier) {
			if _, err := s.Stage(s.upgrade(t, program, "1.1.0", nil).Manifest,
				string(s.upgrade(t, program, "1.1.0", nil).Signature), strings.NewReader(string(program))); err != nil {
				t.Error(err)
			}
		}, want: begun, tries: true},
		"another of that version there": {given: func(s *shelf, _ *carrier) {
			other := append(program[:4095:4095], 7)
			u := s.upgrade(t, other, "1.1.0", nil)
			if _, err := s.Stage(u.Manifest, string(u.Signature), strings.NewReader(string(other))); err != nil {
				t.Error(err)
			}
		}, want: begun, tries: true, came: 1},
		"the same": {given: func(s *shelf, _ *carrier) { s.Running = "1.1.0" },
			want: `SUCCEEDED {"from":"1.1.0","to":"1.1.0"}`},
		"on trial by hand": {given: func(s *shelf, _ *carrier) {
			u := s.upgrade(t, program, "1.1.0", nil)
			_, err := s.Stage(u.Manifest, string(u.Signature), bytes.NewReader(program))
			if err := errors.Join(err, s.Begin("1.1.0", nil)); err != nil {
				t.Error(err)
			}
			s.Running = "1.1.0"
		}, want: `IN_PROGRESS {"from":"1.1.0","step":"trial","to":"1.1.0"}`},
		"the packaged one runs": {order: func(s *shelf) Upgrade { return s.upgrade(t, program, "1.0.0", nil) },
			want: `SUCCEEDED {"from":"1.0.0","to":"1.0.0"}`},
		"back to the packaged one": {order: func(s *shelf) Upgrade { return s.upgrade(t, program, "1.0.0", nil) },
			given: func(s *shelf, _ *carrier) {
				if err := os.Mkdir(s.Dir, 0o700); err != nil {
					t.Error(err)
				}
				s.Running = "1.1.0"
			}, want: `IN_PROGRESS {"from":"1.1.0","step":"trial","to":"1.0.0"}`, tries: true},
		"twice a day": {order: apart, given: ended("1999-12-31T20:30:00Z"),
			want: "FAILED the trial of release 1.0.5 ended 3h30m0s ago, and the order wants 1d between two"},
		"the next day":           {order: apart, given: ended("1999-12-30T23:00:00Z"), want: begun, tries: true, came: 1},
		"by a wrong clock":       {order: apart, given: ended("2035-01-01T00:00:00Z"), want: begun, tries: true, came: 1},
		"the first":              {order: apart, want: begun, tries: true, came: 1},
		"twice, and nobody asks": {given: ended("1999-12-31T23:59:00Z"), want: begun, tries: true, came: 1},
		"stranger": {order: func(*shelf) Upgrade { return stranger.upgrade(t, program, "1.1.0", nil) },
			want: "REJECTED not signed by a root key"},
		"processor": {order: func(s *shelf) Upgrade {
			return s.upgrade(t, program, "1.1.0", func(m *release.Manifest) { m.Arch = "mips" })
		}, want: "REJECTED is for linux/mips"},
		"another processor inside": {order: func(s *shelf) Upgrade {
			other := append([]byte(nil), program...)
			other[18], other[19] = 8, 0 // MIPS
			return s.upgrade(t, other, "1.1.0", nil)
		}, given: func(_ *shelf, c *carrier) { c.program[18], c.program[19] = 8, 0 },
			want: "REJECTED another processor", came: 1},
		"old": {order: func(s *shelf) Upgrade { return s.upgrade(t, program, "0.9.0", nil) },
			want: "REJECTED older than"},
		"no version": {order: func(s *shelf) Upgrade { return s.upgrade(t, program, "../1", nil) },
			want: "REJECTED no version"},
		"nothing":   {order: func(*shelf) Upgrade { return Upgrade{} }, want: "REJECTED not signed"},
		"too short": {order: func(*shelf) Upgrade { return Upgrade{Trial: 1} }, want: "REJECTED 1s to 1h are allowed"},
		"too long": {order: func(*shelf) Upgrade { return Upgrade{Trial: setting.Duration(2 * time.Hour)} },
			want: "REJECTED 1s to 1h"},
		"broken": {given: func(_ *shelf, c *carrier) { c.err = errors.New("nothing came") },
			want: "FAILED nothing came", came: 1},
		"no such file": {given: func(_ *shelf, c *carrier) { c.err = fetch.ErrRefused },
			want: "REJECTED not fetched", came: 1},
		"another file": {given: func(_ *shelf, c *carrier) { c.err = fetch.ErrWrong }, want: "FAILED another file", came: 1},
		"no room": {order: func(s *shelf) Upgrade {
			return s.upgrade(t, program, "1.1.0", func(m *release.Manifest) { m.Size = 64 << 20 })
		}, given: func(_ *shelf, c *carrier) { c.err = errors.New("the disk has 1 byte left") },
			want: "FAILED the disk has 1 byte", came: 1},
		"not now": {given: func(s *shelf, _ *carrier) { s.fails = errors.New("a configuration is on trial") },
			want: "FAILED a configuration is on trial", came: 1},
		"damaged list": {given: func(s *shelf, _ *carrier) {
			if err := errors.Join(os.Mkdir(s.Dir, 0o700),
				os.WriteFile(filepath.Join(s.Dir, "slots.json"), []byte("{"), 0o600)); err != nil {
				t.Error(err)
			}
		}, want: begun, tries: true, came: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, fetched := newShelf(t), &carrier{dir: t.TempDir(), program: append([]byte(nil), program...)}
			order := s.upgrade(t, program, "1.1.0", nil)
			if test.order != nil {
				order = test.order(s)
			}
			if test.given != nil {
				test.given(s, fetched)
			}
			synctest.Test(t, func(t *testing.T) {
				c := newCloud(t)
				c.create("a", updating(t, order))
				u := Update{Releases: s, Fetcher: fetched, Usual: closed}
				c.run(plainOpener{}, map[string]jobs.Operation{"update": u}, synctest.Wait)
				status, word, _ := strings.Cut(test.want, " ")
				if got := c.became("a"); !strings.HasPrefix(got, status) || !strings.Contains(got, word) {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
			if fetched.came != test.came || (len(s.tries) > 0) != test.tries {
				t.Errorf("fetched %d times, tried %v", fetched.came, s.tries)
			}
			if left, _ := os.ReadDir(fetched.dir); len(left) > 0 {
				t.Errorf("%v is left of what came", left)
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		o := Update{}.Do(t.Context(), nil)
		if o.Status != jobs.Failed || !strings.Contains(o.Error, "STATE_DIRECTORY") {
			t.Errorf("%+v", o)
		}
	})
}

// TestUpdateEnds has a release on trial, restarts the gateway as what is to run then, and
// lets the trial end in each way.
func TestUpdateEnds(t *testing.T) {
	program := elf(t, 4096)
	commit := func(s *shelf) error { return s.Commit("1.1.0") }
	for name, test := range map[string]struct {
		given  func(s *shelf) error // before the job
		tried  func(s *shelf) error // before the restart
		runs   string               // after it
		judged func(s *shelf) error // then
		again  string               // what runs after another restart, "" for none
		want   string
	}{
		"kept": {runs: "1.1.0", judged: commit, want: `SUCCEEDED {"from":"1.0.0","step":"trial","to":"1.1.0"}`},
		"kept, and a restart": {runs: "1.1.0", judged: commit, again: "1.1.0",
			want: `SUCCEEDED {"from":"1.0.0","step":"trial","to":"1.1.0"}`},
		"not yet": {runs: "1.1.0", want: begun},
		"given up": {runs: "1.1.0", judged: func(s *shelf) error { return s.Reject("1.1.0", "the link is not up") },
			again: "1.0.0", want: `FAILED {"error":"the link is not up","from":"1.0.0","rolled_back":"true","step":"trial",` +
				`"to":"1.1.0"}`},
		"given up, and still running": {runs: "1.1.0",
			judged: func(s *shelf) error { return s.Reject("1.1.0", "the link is not up") },
			want:   begun},
		"crashed": {tried: func(s *shelf) error { return s.Reject("1.1.0", "it was started 3 times") }, runs: "1.0.0",
			want: `FAILED {"error":"it was started 3 times","from":"1.0.0","rolled_back":"true","step":"trial",` +
				`"to":"1.1.0"}`},
		"not started": {runs: "1.0.0", want: "FAILED {\"error\":\"it was not started"},
		"by hand back": {runs: "1.1.0", judged: func(s *shelf) error {
			_, err := s.Rollback("rolled back by hand")
			return err
		}, again: "1.0.0", want: `FAILED {"error":"rolled back by hand"`},
		"kept, and then left": {runs: "1.1.0", judged: func(s *shelf) error {
			err := commit(s)
			_, err2 := s.Rollback("by hand")
			return errors.Join(err, err2)
		}, again: "1.0.0", want: `FAILED {"error":"by hand"`},
		"cut before it began": {tried: func(s *shelf) error { return os.Remove(filepath.Join(s.Dir, "slots.json")) },
			runs: "1.0.0", want: begun},
		"cut before it began, once more": {given: func(s *shelf) error {
			u := s.upgrade(t, program, "1.1.0", nil)
			_, err := s.Stage(u.Manifest, string(u.Signature), bytes.NewReader(program))
			err = errors.Join(err, s.Begin("1.1.0", nil), s.Withdraw("1.1.0", "the disk was away"))
			slots := filepath.Join(s.Dir, "slots.json")
			return errors.Join(err, os.Link(slots, slots+"~"))
		}, tried: func(s *shelf) error {
			slots := filepath.Join(s.Dir, "slots.json")
			return os.Rename(slots+"~", slots)
		}, runs: "1.0.0", want: begun},
		"damaged list": {runs: "1.0.0",
			tried: func(s *shelf) error {
				return os.WriteFile(filepath.Join(s.Dir, "slots.json"), []byte("{"), 0o600)
			}, want: `FAILED {"error":"the list of releases (slots.json) is damaged`},
	} {
		t.Run(name, func(t *testing.T) {
			s, fetched := newShelf(t), &carrier{dir: t.TempDir(), program: program}
			order := updating(t, s.upgrade(t, program, "1.1.0", nil))
			if test.given != nil {
				if err := test.given(s); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				c := newCloud(t)
				c.create("a", order)
				u := map[string]jobs.Operation{"update": Update{Releases: s, Fetcher: fetched, Usual: closed}}
				c.run(plainOpener{}, u, synctest.Wait)
				if test.tried != nil {
					if err := test.tried(s); err != nil {
						t.Fatal(err)
					}
				}
				if s.Running = test.runs; test.runs == s.Packaged {
					s.Running = ""
				}
				c.run(plainOpener{}, u, func() {
					time.Sleep(3 * time.Second)
					if test.judged != nil {
						if err := test.judged(s); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(3 * time.Second)
					synctest.Wait()
				})
				if test.again != "" {
					if s.Running = test.again; test.again == s.Packaged {
						s.Running = ""
					}
					c.run(plainOpener{}, u, func() { time.Sleep(3 * time.Second); synctest.Wait() })
				}
				if got := c.became("a"); !strings.HasPrefix(got, test.want) {
					t.Errorf("%s\nwant %s", got, test.want)
				}
			})
			if n := len(s.tries); n > 1 && !strings.HasPrefix(name, "cut before") || n == 0 {
				t.Errorf("on trial %d times", n)
			}
		})
	}
}

// TestUpdateNoted looks at the disk when a release goes on trial: the step is there.
func TestUpdateNoted(t *testing.T) {
	program := elf(t, 4096)
	s, fetched := newShelf(t), &carrier{dir: t.TempDir(), program: program}
	order := updating(t, s.upgrade(t, program, "1.1.0", nil))
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.create("a", order)
		s.asked = func() {
			if noted, _ := c.state.Get("awsiot.jobs"); !strings.Contains(string(noted), `"step":"trial"`) {
				t.Errorf("on disk is %s", noted)
			}
		}
		u := map[string]jobs.Operation{"update": Update{Releases: s, Fetcher: fetched, Usual: closed}}
		c.run(plainOpener{}, u, synctest.Wait)
	})
	if len(s.tries) != 1 {
		t.Errorf("on trial %d times", len(s.tries))
	}
}

// TestUpdateQuiet: a release takes over when no command is under way, and commands go on
// if it does not take over.
func TestUpdateQuiet(t *testing.T) {
	program := elf(t, 4096)
	for name, test := range map[string]struct {
		fails   error // to take over
		cancel  bool  // while a command is under way
		held    bool  // at the end
		tried   int
		outcome string
	}{
		"a command is under way": {held: true, tried: 1, outcome: begun},
		"it does not take over":  {fails: errors.New("no room"), outcome: "FAILED"},
		"cancelled meanwhile":    {cancel: true, outcome: "CANCELED"},
	} {
		t.Run(name, func(t *testing.T) {
			s, fetched := newShelf(t), &carrier{dir: t.TempDir(), program: program}
			s.fails = test.fails
			order := updating(t, s.upgrade(t, program, "1.1.0", nil))
			synctest.Test(t, func(t *testing.T) {
				c, h := newCloud(t), &hush{ends: make(chan struct{})}
				c.create("a", order)
				u := map[string]jobs.Operation{"update": Update{Releases: s, Fetcher: fetched, Usual: closed, Quiet: h.hold}}
				c.run(plainOpener{}, u, func() {
					synctest.Wait()
					if len(s.tries) != 0 || h.asked.Load() != 1 {
						t.Errorf("tried %v though a command is under way", s.tries)
					}
					if test.cancel {
						if err := c.service.CancelExecution("a", "g", true); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Minute)
					} else {
						close(h.ends)
					}
					synctest.Wait()
					if h.held.Load() != test.held {
						t.Errorf("commands are held up: %t", h.held.Load())
					}
				})
				if got := c.became("a"); !strings.HasPrefix(got, test.outcome) || len(s.tries) != test.tried {
					t.Errorf("%s, tried %v", got, s.tries)
				}
			})
		})
	}
}

// hush is a gateway with a command under way until ends is closed.
type hush struct {
	ends  chan struct{}
	asked atomic.Int32
	held  atomic.Bool
}

func (h *hush) hold(ctx context.Context) (resume func(), err error) {
	h.asked.Add(1)
	select {
	case <-h.ends:
		h.held.Store(true)
		return func() { h.held.Store(false) }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// TestUpdateCancelled has the cloud end a job while its release is on trial: the trial
// goes on, and so does the stop of the gateway.
func TestUpdateCancelled(t *testing.T) {
	program := elf(t, 4096)
	s, fetched := newShelf(t), &carrier{dir: t.TempDir(), program: program}
	order := updating(t, s.upgrade(t, program, "1.1.0", nil))
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.create("a", order)
		u := map[string]jobs.Operation{"update": Update{Releases: s, Fetcher: fetched, Usual: closed}}
		c.run(plainOpener{}, u, func() {
			synctest.Wait()
			if err := c.service.CancelExecution("a", "g", true); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}) // it ends, or synctest would say so
		s.Running = "1.1.0"
		c.run(plainOpener{}, u, func() {
			time.Sleep(3 * time.Second)
			if err := s.Commit("1.1.0"); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if string(c.state.values["awsiot.jobs"]) == "" || !strings.Contains(string(c.state.values["awsiot.jobs"]),
				`"outcome":{"status":"SUCCEEDED"`) {
				t.Errorf("what is known of the job: %s", c.state.values["awsiot.jobs"])
			}
		})
	})
}
