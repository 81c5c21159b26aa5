package life

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

func path(p string) setting.Path { return setting.Path(p) }

// TestFirstIdentity: from a claim and an empty folder to an identity; the claim goes
// when the cloud has acknowledged a message, not before, and nothing else with it.
func TestFirstIdentity(t *testing.T) {
	h := newHouse(t)
	claim := string(h.settings.Provision.Claim)
	if s := h.Status(h.choose(), &h.config, &h.settings); s.Way != "none" {
		t.Errorf("status before: %+v", s)
	}
	must(t, h.obtain())
	c := h.choose()
	if c.Kind != OnTrial || !strings.Contains(names(t, claim), "private") {
		t.Fatalf("%s, and the claim's folder has %s", c.Kind, names(t, claim))
	}
	if s := h.Status(c, &h.config, &h.settings); !s.Trial || s.Way != "claim" || !s.Copyable || !s.Rotates.IsZero() {
		t.Errorf("status on trial: %+v", s)
	}
	h.connects(t)
	if got := names(t, claim); got != "0a1b2c-public.pem.key, AmazonRootCA1.pem, read me, this is no key.text" {
		t.Errorf("the claim's folder has %s", got)
	}
	c = h.choose()
	s := h.Status(c, &h.config, &h.settings)
	if c.Kind != Managed || s.Trial || s.Since.IsZero() || len(s.ID) != 64 || s.Key == "" || s.Rotates.IsZero() {
		t.Errorf("%s: %+v", c.Kind, s)
	}
	h.restart(true)
	if h.choose().Kind != Managed || h.cloud.issued != 1 {
		t.Errorf("after a restart %s, %d certificates", h.choose().Kind, h.cloud.issued)
	}
	// Another claim that a person puts there is not the one that was used.
	h.cloud.claim(claim)
	h.connects(t)
	if !strings.Contains(names(t, claim), "private") {
		t.Error("another claim was removed")
	}
}

// TestClaimLeft: a claim that could not be removed is told until a person has removed it.
func TestClaimLeft(t *testing.T) {
	h := newHouse(t)
	must(t, h.obtain())
	c := h.choose()
	for range 2 { // at each connection
		h.leave(c.is, errors.New("claim/key: permission denied"))
		if all := h.Conditions(nil); len(all) != 1 || all[0].Code != "claim_left" ||
			!strings.Contains(all[0].Text, "could not be removed (claim/key: permission denied)") {
			t.Errorf("conditions %v", all)
		}
	}
	must(t, os.RemoveAll(string(h.settings.Provision.Claim)))
	if all := h.Conditions(nil); len(all) != 0 {
		t.Errorf("it is gone: %v", all)
	}
	gone := &Found{Files: []string{"/proc/self/status", "/proc/self/stat"}} // where nobody removes anything
	if err := gone.remove(); err == nil || strings.ContainsAny(err.Error(), "\n") ||
		!strings.HasPrefix(err.Error(), "/proc/self/status: ") {
		t.Errorf("%v", err)
	}
}

// TestNoWay: without a claim it is told what to do, and nothing is asked.
func TestNoWay(t *testing.T) {
	h := newHouse(t)
	for template, says := range map[string]string{"line": "identity provision", "": "identity csr"} {
		h.settings.Provision = Provision{Template: template}
		c := h.choose()
		_, err := c.Pair()
		if e := uplink.Explain(err); c.Kind != None || !e.Act || !strings.Contains(e.Text, says) {
			t.Errorf("%s: %+v", c.Kind, e)
		}
		if w := h.Wait(c, h.config.Backoff); w != 0 {
			t.Errorf("waits %s for nothing", w)
		}
	}
}

// TestAnotherCertificateProvesNothing: the acknowledgement must be of a connection with
// the certificate on trial.
func TestAnotherCertificateProvesNothing(t *testing.T) {
	h := newHouse(t)
	must(t, h.obtain())
	other, err := enrol.Leaf(h.cloud.sign(h.cloud.ca.Public(), pkix.Name{CommonName: "press"}))
	must(t, err)
	h.Proven(h.choose(), other)
	h.Proven(h.choose(), nil)
	if c := h.choose(); c.Kind != OnTrial || !strings.Contains(names(t, string(h.settings.Provision.Claim)), "private") {
		t.Errorf("%s after another's acknowledgement", c.Kind)
	}
}

func TestWrongThingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.cloud.thing = "another"
		err := h.obtain()
		e := uplink.Explain(err)
		if !e.Act || !strings.Contains(e.Text, `"another"`) || !strings.Contains(e.Text, `"press"`) {
			t.Errorf("%+v", e)
		}
		c := h.choose()
		if c.Kind != ByClaim {
			t.Errorf("%s is used", c.Kind)
		}
		h.later(err, h.config.Backoff)
		if w := h.Wait(c, h.config.Backoff); w < time.Hour {
			t.Errorf("tried again after %s: each try leaves an identity at AWS", w)
		}
	})
}

// TestResumes cuts the connection at each step, over restarts: the key is made once,
// and no certificate is left behind but the one whose answer was lost.
func TestResumes(t *testing.T) {
	h := newHouse(t)
	lost := func(part string) func(string) string {
		return func(topic string) string {
			if strings.Contains(topic, part) {
				return "lost"
			}
			return ""
		}
	}
	h.cloud.fails = lost("create-from-csr")
	if err := h.obtain(); err == nil || h.cloud.issued != 0 {
		t.Fatal(err)
	}
	draft, err := h.store.Draft(kept.Claim)
	must(t, err)
	first := string(draft.Key)
	h.restart(true)
	h.cloud.fails = lost("provision")
	if err := h.obtain(); err == nil {
		t.Fatal("no error")
	}
	h.restart(true)
	h.cloud.fails = nil
	must(t, h.obtain())
	h.connects(t)
	if c := h.choose(); c.Kind != Managed || string(c.is.Key) != first || h.cloud.issued != 1 {
		t.Errorf("%s, %d certificates", c.Kind, h.cloud.issued)
	}
}

// TestRegisteredBeforeTheCut: the answer to RegisterThing was lost. Its token is used
// up, and the certificate works.
func TestRegisteredBeforeTheCut(t *testing.T) {
	h := newHouse(t)
	h.cloud.fails = func(topic string) string {
		if strings.Contains(topic, "provision") {
			h.cloud.used["token 1"] = true
			return "lost"
		}
		return ""
	}
	if err := h.obtain(); err == nil {
		t.Fatal("no error")
	}
	h.restart(true)
	h.cloud.fails = nil
	must(t, h.obtain())
	if c := h.connects(t); c.Kind != OnTrial || h.choose().Kind != Managed || h.cloud.issued != 1 {
		t.Errorf("%s, %d certificates", c.Kind, h.cloud.issued)
	}
}

// TestTokenOverAtHome: the power was off for longer than the token's hour. The
// certificate is gone, which the cloud shows by refusing it; then another is made.
func TestTokenOverAtHome(t *testing.T) {
	h := newHouse(t)
	h.cloud.fails = func(topic string) string {
		if strings.Contains(topic, "provision") {
			return "lost"
		}
		return ""
	}
	if err := h.obtain(); err == nil {
		t.Fatal("no error")
	}
	h.restart(true)
	h.cloud.fails, h.cloud.used["token 1"] = nil, true
	must(t, h.obtain())
	for range mostRefusals {
		h.refuse(h.choose(), uplink.Closed, "not registered")
	}
	must(t, h.obtain())
	h.connects(t)
	if h.choose().Kind != Managed || h.cloud.issued != 2 {
		t.Errorf("%s, %d certificates", h.choose().Kind, h.cloud.issued)
	}
}

// TestRejected: a hook that says no leaves a certificate that the next try uses.
func TestRejected(t *testing.T) {
	h := newHouse(t)
	h.cloud.fails = func(topic string) string {
		if strings.Contains(topic, "provision") {
			return "ACCESS_DENIED"
		}
		return ""
	}
	for range 5 {
		var no *enrol.Rejection
		if err := h.obtain(); !errors.As(err, &no) {
			t.Fatal(err)
		}
	}
	h.cloud.fails = nil
	must(t, h.obtain())
	if h.cloud.issued != 1 {
		t.Errorf("%d certificates", h.cloud.issued)
	}
}

// TestFirstTrialIsPatient: a policy takes minutes to be known everywhere, and there is
// nothing else to go back to.
func TestFirstTrialIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		must(t, h.obtain())
		for start := time.Now(); time.Since(start) < patience; time.Sleep(8 * time.Second) {
			if c := h.choose(); c.Kind != OnTrial {
				t.Fatalf("%s after %s", c.Kind, time.Since(start))
			}
			h.refuse(h.choose(), uplink.Forbidden, "0x87")
		}
		h.refuse(h.choose(), uplink.Forbidden, "0x87")
		if c := h.choose(); c.Kind != ByClaim {
			t.Errorf("%s when patience is over", c.Kind)
		}
	})
}

// TestFallsBackToTheClaim: what the cloud says has ended is given up where a claim is
// left; what the clock here says, a network that is away, or a policy never does it.
func TestFallsBackToTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		claim := string(h.settings.Provision.Claim)
		h.cloud.validity = time.Hour
		must(t, h.obtain())
		h.connects(t)
		h.cloud.claim(claim)
		time.Sleep(48 * time.Hour) // it has expired, says the clock here
		if c := h.choose(); c.Kind != Managed {
			t.Fatalf("%s by the clock here", c.Kind)
		}
		for range 100 {
			h.Failed(h.choose(), nil, errors.New("no route"))
			h.refuse(h.choose(), uplink.Forbidden, "0x87")
			time.Sleep(time.Minute)
		}
		if c := h.choose(); c.Kind != Managed {
			t.Fatalf("%s when the network is away", c.Kind)
		}
		for range mostRefusals {
			h.refuse(h.choose(), uplink.Closed, "closed")
		}
		if c := h.choose(); c.Kind != Managed {
			t.Fatalf("%s after %d refusals in a second: it may be switched off for a moment", c.Kind, mostRefusals)
		}
		time.Sleep(beyondHope)
		h.refuse(h.choose(), uplink.Closed, "closed")
		if c := h.choose(); c.Kind != ByClaim {
			t.Errorf("%s when it is beyond hope", c.Kind)
		}
		must(t, h.obtain())
		h.connects(t)
		for range mostRefusals {
			h.refuse(h.choose(), uplink.Over, "revoked")
		}
		if c := h.choose(); c.Kind != Managed {
			t.Errorf("%s without a claim", c.Kind)
		}
		h.cloud.claim(claim)
		if c := h.choose(); c.Kind != ByClaim {
			t.Errorf("%s, revoked", c.Kind)
		}
	})
}

// TestEnded: of a certificate that worked, what must have become of it and what to do; its
// authority, which the cloud knew, is not called unknown.
func TestEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		must(t, h.obtain())
		h.connects(t)
		c := h.choose()
		own, err := h.opened.leaf(c.Certificate())
		must(t, err)
		closed := errors.New("closed")
		if told := refused(c, own, uplink.Closed, mostRefusals-1, closed); told != closed {
			t.Errorf("told too early: %v", told)
		}
		e := uplink.Explain(refused(c, own, uplink.Closed, mostRefusals, closed))
		for _, want := range []string{"took our certificate before", c.is.ID(), "put a claim into " + c.dir} {
			if !strings.Contains(e.Text, want) || !e.Act {
				t.Errorf("no %q, act %t: %s", want, e.Act, e.Text)
			}
		}
		h.settings.Provision.Claim = ""
		e = uplink.Explain(refused(h.choose(), own, uplink.Closed, mostRefusals, closed))
		if !strings.Contains(e.Text, "identity provision") {
			t.Error(e.Text)
		}
	})
}

// TestChipThatIsAway for an hour costs no identity, and one that has lost the key does.
func TestChipThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		must(t, h.obtain())
		h.connects(t)
		h.cloud.claim(string(h.settings.Provision.Claim))
		fails := func(err error) {
			a := &uplink.Attempt{Config: &h.config, Pair: func() (tls.Certificate, error) {
				return tls.Certificate{}, &unusable{"20261128", err}
			}}
			_, failed := a.Open(context.Background())
			h.Failed(h.choose(), nil, failed)
		}
		for range 100 {
			fails(errors.New("the TPM is busy"))
			time.Sleep(time.Minute)
		}
		if c := h.choose(); c.Kind != Managed {
			t.Fatalf("%s while the chip is away", c.Kind)
		}
		for range mostRefusals {
			fails(fmt.Errorf("%w: another TPM", key.ErrLost))
		}
		if c := h.choose(); c.Kind != ByClaim {
			t.Errorf("%s after the key is lost", c.Kind)
		}
	})
}

// TestFilesStayWhereTheyAre: they are used until there is an identity of the store, and
// then named as not used; they are never copied.
func TestFilesStayWhereTheyAre(t *testing.T) {
	h := newHouse(t)
	by, err := Claim(string(h.settings.Provision.Claim))
	must(t, err)
	h.config.PrivateKey, h.config.Certificate = path(by.Files[0]), path(by.Files[1])
	c := h.choose()
	if c.Kind != Files {
		t.Fatalf("%s", c.Kind)
	}
	if s := h.Status(c, &h.config, &h.settings); s.Way != "files" || !s.Copyable || len(s.Unused) != 0 {
		t.Errorf("%+v", s)
	}
	h.connects(t)
	if _, err := os.Stat(h.store.Dir()); err == nil {
		t.Errorf("%s was made", h.store.Dir())
	}
	// Files that are not there are no identity: the claim is asked.
	h.config.Certificate, h.config.PrivateKey = "/nowhere/c.pem", "/nowhere/k.pem"
	if c := h.choose(); c.Kind != ByClaim {
		t.Errorf("%s", c.Kind)
	}
	must(t, h.obtain())
	h.connects(t)
	s := h.Status(h.choose(), &h.config, &h.settings)
	if len(s.Unused) != 2 {
		t.Errorf("%+v", s)
	}
	if all := h.Conditions(s); len(all) != 1 || all[0].Code != "identity_files_unused" {
		t.Errorf("%v", all)
	}
}

// TestThousandGateways that are switched on together ask for their identity within five
// minutes, evenly, and one alone does not wait.
func TestThousandGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backoff := uplink.Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(time.Minute), Gateways: 1000}
		inSecond := make(map[time.Duration]int)
		for range 1000 {
			l := New(Options{})
			w := l.Wait(Choice{Kind: ByClaim}, backoff)
			if w > 5*time.Minute {
				t.Fatalf("%s", w)
			}
			inSecond[w/time.Second]++
		}
		for second, n := range inSecond {
			if n > 20 {
				t.Errorf("%d in second %d, AWS takes 20", n, second)
			}
		}
		backoff.Gateways = 1
		if w := New(Options{}).Wait(Choice{Kind: ByClaim}, backoff); w > spreadEach {
			t.Errorf("one alone waits %s", w)
		}
	})
}

// TestWaitsAfterFailures: longer each time, up to five minutes, and no two gateways alike;
// a person's mistake is looked at as often as backoff.max says.
func TestWaitsAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		backoff := uplink.Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(2 * time.Minute), Gateways: 1}
		busy := &enrol.Rejection{Status: 429, Code: "Throttling"}
		for i := range 30 {
			l.later(busy, backoff)
			most := min(backoff.Min.D()<<min(i+1, 20), mostWait)
			if w := l.Wait(Choice{Kind: ByClaim}, backoff); w < most/2-1 || w > most {
				t.Errorf("after %d failures %s of %s", i+1, w, most)
			}
		}
		l.later(&enrol.Rejection{Status: 403, Code: "ACCESS_DENIED"}, backoff)
		if w := l.Wait(Choice{Kind: ByClaim}, backoff); w != 2*time.Minute {
			t.Errorf("after a no %s", w)
		}
		l.later(nil, backoff)
		if l.ask.failed != 0 {
			t.Error("a success is no end of it")
		}
	})
}

// TestClaimFolders: what is wrong with a folder is told with what to do.
func TestClaimFolders(t *testing.T) {
	c := newCloud(t)
	dir := t.TempDir()
	for name, make := range map[string]func(dir string){
		"does not exist": func(string) {},
		"no certificate": func(dir string) { must(t, os.MkdirAll(dir, 0o700)) },
		"no private key": func(dir string) { c.claim(dir); must(t, os.Remove(filepath.Join(dir, "0a1b2c-private.pem.key"))) },
		"no key in it belongs": func(dir string) {
			c.claim(dir)
			must(t, os.WriteFile(filepath.Join(dir, "0a1b2c-certificate.pem.crt"), c.sign(c.ca.Public(), pkix.Name{}), 0o600))
		},
	} {
		dir := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		make(dir)
		_, err := Claim(dir)
		e := uplink.Explain(err)
		if err == nil || !e.Act || !strings.Contains(e.Text, name) || !strings.Contains(e.Text, dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
