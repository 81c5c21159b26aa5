package rauc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
)

// startBus starts a real message bus and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config, socket := filepath.Join(dir, "bus.conf"), filepath.Join(dir, "bus")
	err := os.WriteFile(config, fmt.Appendf(nil, `<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow eavesdrop="true"/>
</policy></busconfig>`, socket), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(needtest.Program(t, "dbus-daemon"), "--nofork", "--config-file="+config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // between two looks
		// The file is there before the bus listens.
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return "unix:path=" + socket
		}
		if time.Now().After(deadline) {
			t.Fatal("the bus does not listen")
		}
	}
}

// service is RAUC as far as its D-Bus reference tells, and logind's part.
type service struct {
	conn *dbus.Conn

	mu      sync.Mutex
	said    []string       // guarded by mu, as all below
	install func()         // what happens when it is begun, or found under way
	values  map[string]any // of properties
}

// progress is RAUC's property of that name: (isi).
type progress struct {
	Percent int32
	Message string
	Depth   int32
}

func (s *service) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

// Get is that of org.freedesktop.DBus.Properties. Who asks what is done listens already.
func (s *service) Get(_, property string) (dbus.Variant, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if property == "Operation" && s.values[property] != "idle" {
		go s.install()
	}
	return dbus.MakeVariant(s.values[property]), nil
}

func (s *service) set(property string, value any) {
	s.mu.Lock()
	s.values[property] = value
	s.mu.Unlock()
	_ = s.conn.Emit("/", bus+".Properties.PropertiesChanged", installer,
		map[string]dbus.Variant{property: dbus.MakeVariant(value)}, []string{})
}

func (s *service) InstallBundle(source string, args map[string]dbus.Variant) *dbus.Error {
	s.note("install %s %d", source, len(args))
	if source == "refused" {
		return dbus.NewError("de.pengutronix.rauc.Installer.Error", []any{"already processing"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	go s.install()
	return nil
}

func (s *service) Mark(state, slot string) (name, message string, err *dbus.Error) {
	s.note("mark %s %s", state, slot)
	if state == "active" {
		return "", "", dbus.NewError("de.pengutronix.rauc.Installer.Error", []any{"no boot loader"})
	}
	return "rootfs.0", "marked", nil
}

func (s *service) CanReboot() (string, *dbus.Error) { return "challenge", nil }

func (s *service) Reboot(interactive bool) *dbus.Error {
	s.note("reboot %t", interactive)
	return nil
}

// writes tells how far an installation is, and done that it is over.
func (s *service) writes(percents ...int32) {
	for _, p := range percents {
		s.set("Progress", progress{p, "writing", 1})
	}
}

func (s *service) done(result int32) {
	s.set("Operation", "idle")
	_ = s.conn.Emit("/", installer+".Completed", result)
}

func serve(t *testing.T, address string) *service {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &service{conn: conn, values: map[string]any{"Operation": "idle", "LastError": "", "BootSlot": "A"}}
	for _, err := range []error{conn.Export(s, "/", installer), conn.Export(s, "/", bus+".Properties"),
		conn.Export(s, "/org/freedesktop/login1", manager)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{name, logind} {
		if r, err := conn.RequestName(n, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
			t.Fatal(r, err)
		}
	}
	return s
}

func dial(t *testing.T, address string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestInstall: an installation is followed to its end, over a real bus.
func TestInstall(t *testing.T) {
	address := startBus(t)
	s := serve(t, address)
	for name, test := range map[string]struct {
		source  string
		install func()
		busy    bool // it is under way already
		resumed bool
		want    string // of the error, "" for none
		told    []int
		begun   bool
	}{
		"good": {"/b.raucb", func() { s.writes(0, 40, 100); s.done(0) }, false, false, "", []int{0, 40, 100}, true},
		"wrong": {"/b.raucb", func() {
			s.set("LastError", "signature verification failed")
			s.done(1)
		}, false, false, "(1): signature verification failed", nil, true},
		"refused":                    {"refused", nil, false, false, "already processing", nil, true},
		"busy":                       {"/b.raucb", func() {}, true, false, "busy with something else", nil, false},
		"resumed":                    {"/b.raucb", func() { s.writes(70); s.done(0) }, true, true, "", []int{70}, false},
		"ended before we came again": {"/b.raucb", func() { s.done(0) }, false, true, "", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s.mu.Lock()
			s.said, s.install = nil, test.install
			s.values["Operation"] = map[bool]string{true: "installing", false: "idle"}[test.busy]
			s.mu.Unlock()
			var told []int
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := dial(t, address).Install(ctx, test.source, test.resumed, func(percent int) { told = append(told, percent) })
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if !slices.Equal(told, test.told) {
				t.Errorf("told %v, want %v", told, test.told)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := slices.Equal(s.said, []string{"install " + test.source + " 0"}); got != test.begun {
				t.Errorf("asked for %v", s.said)
			}
		})
	}
}

// TestLostOnTheWay: RAUC may end, and so may the bus and the gateway.
func TestLostOnTheWay(t *testing.T) {
	address := startBus(t)
	for want, lose := range map[string]func(s *service, cancel context.CancelCauseFunc){
		"has ended in the middle": func(s *service, _ context.CancelCauseFunc) { _ = s.conn.Close() },
		"the gateway stops": func(_ *service, cancel context.CancelCauseFunc) {
			cancel(errors.New("the gateway stops"))
		},
	} {
		s := serve(t, address)
		ctx, cancel := context.WithCancelCause(t.Context())
		s.mu.Lock()
		s.install = func() { s.writes(10) }
		s.mu.Unlock()
		err := dial(t, address).Install(ctx, "/b.raucb", false, func(int) { lose(s, cancel) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		_ = s.conn.Close()
	}
}

// TestOthers: what else is asked of RAUC and of logind, and what is said without RAUC.
func TestOthers(t *testing.T) {
	address := startBus(t)
	for _, a := range []string{address, "unix:path=" + filepath.Join(t.TempDir(), "none")} {
		if _, err := Dial(t.Context(), a); !errors.Is(err, ErrAbsent) || !bridge.IsPermanent(err) {
			t.Errorf("without RAUC: %v", err)
		}
	}
	s := serve(t, address)
	c := dial(t, address)
	if slot, err := c.Slot(t.Context()); slot != "A" || err != nil {
		t.Errorf("slot %s %v", slot, err)
	}
	if err := c.MayRestart(t.Context()); err == nil || !strings.Contains(err.Error(), "polkit") {
		t.Errorf("it may restart: %v", err)
	}
	if err := c.Mark(t.Context(), "active"); err == nil || !strings.Contains(err.Error(), "no boot loader") {
		t.Errorf("mark: %v", err)
	}
	if err := errors.Join(c.Mark(t.Context(), "good"), c.Restart(t.Context())); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.said, ", "); got != "mark active booted, mark good booted, reboot false" {
		t.Errorf("asked for %s", got)
	}
}
