package identity

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
)

func TestOutOfDate(t *testing.T) {
	t.Parallel()
	for name, terms := range map[string]awsiottest.Terms{
		"own-expired": {NotBefore: time.Now().Add(-30 * 24 * time.Hour),
			NotAfter: time.Now().Add(-10 * 24 * time.Hour)},
		"own-not-yet-valid": {NotBefore: time.Now().Add(10*24*time.Hour + time.Hour),
			NotAfter: time.Now().Add(30 * 24 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cloud(nil)
			r.use(r.issue("wrong-time", terms))
			fails(t, r.check(name+".txt"), OwnCertificate)
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(r *rig)
		state  State
		reason string
	}{
		{"right", func(*rig) {}, OK, ""},
		{"unknown", func(r *rig) { r.o.Synced = nil }, OK, ""},
		{"unsynced", func(r *rig) { r.o.Synced = func() bool { return false } }, Warning, "no time service"},
		{"before the build", func(r *rig) { r.o.Built = time.Now().Add(time.Hour) }, Warning, "this program was made on"},
		{"before our files", func(r *rig) {
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(string(r.o.Config.Certificate), later, later); err != nil {
				t.Fatal(err)
			}
		}, Warning, "press-line-2.pem was written on"},
	} {
		r := newRig(t)
		tt.change(r)
		c := newCheck(r.o)
		c.files()
		c.clock()
		if s := c.step(Clock); s.State != tt.state || !strings.Contains(s.Text, tt.reason) {
			t.Errorf("%s: %s %q", tt.name, s.State, s.Text)
		}
	}
}

func TestClockInThePast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	future := awsiottest.Terms{NotBefore: time.Now().Add(30 * 24 * time.Hour),
		NotAfter: time.Now().Add(300 * 24 * time.Hour)}
	r.use(r.issue("own", future))
	future.Hosts = []string{"localhost"}
	id := r.issue("wrong-server", future)
	r.cloud(func(o *awsiottest.Options) { o.Server = &id })
	report := r.check("clock-in-the-past.txt")
	if s := report.Step(Clock); s.State != Warning || !strings.Contains(s.Text, "both made later") {
		t.Errorf("%s %q", s.State, s.Text)
	}
}

func TestClockBehindServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	later := func() time.Time { return time.Now().Add(2 * 365 * 24 * time.Hour) }
	r.server(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.pool(), Time: later}, func(*tls.Conn) {})
	report := r.check("clock-behind-server.txt")
	fails(t, report, OwnCertificate)
	if s := report.Step(Clock); s.State != Warning || !strings.Contains(s.Text, "this clock (20") {
		t.Errorf("%s %q", s.State, s.Text)
	}
}
