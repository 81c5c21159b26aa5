package identity

import (
	"crypto/tls"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

func TestClosedWithoutConnack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	c.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Close: true} })
	fails(t, r.check("no-connack.txt"), Connect)
}

func TestNotAuthorized(t *testing.T) {
	t.Parallel()
	publish := rules.Statement{Actions: []string{"iot:Publish"}, Resources: []string{"topic/plant/*"}}
	connect := rules.Statement{Actions: []string{"iot:Connect"}, Resources: []string{"client/press-line-2"}}
	for name, policy := range map[string]rules.Policy{"connect-denied": {publish}, "will-denied": {publish, connect}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c := r.cloud(func(o *awsiottest.Options) { o.Throttle = awsiottest.ThrottleRefuse })
			c.SetPolicy(r.issue("press-line-2", awsiottest.Terms{}).ID, policy)
			fails(t, r.check(name+".txt"), Connect)
		})
	}
}

func TestNoWill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	told := make(chan awsiottest.Message, 10)
	c := r.cloud(func(o *awsiottest.Options) { o.OnPublish = func(m awsiottest.Message) { told <- m } })
	if report := Check(t.Context(), r.o); !report.OK {
		t.Error(report.Text())
	}
	c.Offline() // returns when all connections have ended
	if len(told) > 0 {
		t.Errorf("told of %+v", <-told)
	}
}

func TestWill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen := make(chan *packets.Connect, 1)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(func(p *packets.Connect) *packets.ControlPacket {
		seen <- p
		return accept(p)
	}))
	Check(t.Context(), r.o)
	p := <-seen
	var will struct {
		Gateway, Type, Reason string
		Connection            *uint64
	}
	if err := json.Unmarshal(p.WillMessage, &will); err != nil {
		t.Fatal(err)
	}
	if p.WillTopic != "fieldbridge/press-line-2/status" || p.WillQOS != 1 || p.WillRetain || !p.CleanStart ||
		p.KeepAlive != 60 ||
		will.Gateway != "press-line-2" || will.Type != "offline" || will.Connection == nil || *will.Connection != 0 {
		t.Errorf("%+v\n%s", p, p.WillMessage)
	}
}

func TestDisconnectedInstead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(func(*packets.Connect) *packets.ControlPacket {
		cp := packets.NewControlPacket(packets.DISCONNECT)
		cp.Content.(*packets.Disconnect).ReasonCode = packets.DisconnectServerShuttingDown
		return cp
	}))
	fails(t, r.check("disconnect.txt"), Connect)
}

func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, func(c *tls.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_ = c.CloseWrite()
	})
	fails(t, r.check("no-mqtt.txt"), Connect)
}

func TestHold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	connects := 0
	c.ScriptConnect(func(string) awsiottest.ConnectVerdict { connects++; return awsiottest.ConnectVerdict{} })
	r.o.Hold, r.o.HoldFix = "the gateway runs: a second CONNECT would take its session over",
		"stop it, or force it by --connect"
	report := r.check("hold.txt")
	if s := report.Step(Connect); !report.OK || s.State != Skipped || connects != 0 {
		t.Errorf("ok %v, %s, %d CONNECTs", report.OK, s.State, connects)
	}
}

func accept(*packets.Connect) *packets.ControlPacket {
	return packets.NewControlPacket(packets.CONNACK)
}

func TestTricks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(func(*packets.Connect) *packets.ControlPacket {
		cp := packets.NewControlPacket(packets.CONNACK)
		p := cp.Content.(*packets.Connack)
		p.ReasonCode, p.Properties.ReasonString = 0x80, "no\x1b[2J\nok           mqtt connect"
		return cp
	}))
	report := Check(t.Context(), r.o)
	fails(t, report, Connect)
	if text := report.Text(); strings.Contains(text, "\x1b") || strings.Contains(text, "\nok           mqtt connect") ||
		!strings.Contains(text, "server says  no\ufffd[2J\ufffdok") {
		t.Errorf("%q", text)
	}
}

// TestBusy: a refusal that passes.
func TestBusy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	c.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Code: 0x97} })
	report := Check(t.Context(), r.o)
	fails(t, report, Connect)
	if got := report.Step(Connect).Fix; got != "check again in a minute" {
		t.Errorf("fix %q: a check does not try again", got)
	}
}

// TestGrants: what a CONNACK grants, where that is less than what we want.
func TestGrants(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant func(*packets.Properties)
		text  string // of the warning
		fact  Fact
	}{
		"window": {func(p *packets.Properties) { n := uint16(5); p.ReceiveMaximum = &n },
			"the server takes 5 messages in flight, northbound.awsiot.window is 20", Fact{"receive maximum", "5"}},
		"qos": {func(p *packets.Properties) { n := byte(0); p.MaximumQOS = &n }, "maximum QoS 0",
			Fact{"maximum qos", "0"}},
		"keep alive": {func(p *packets.Properties) { n := uint16(1200); p.ServerKeepAlive = &n }, "",
			Fact{"keep alive", "1200 s, we asked for 60 s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(func(*packets.Connect) *packets.ControlPacket {
				cp := packets.NewControlPacket(packets.CONNACK)
				tt.grant(cp.Content.(*packets.Connack).Properties)
				return cp
			}))
			report := Check(t.Context(), r.o)
			s := report.Step(Connect)
			if !report.OK || !slices.Contains(s.Facts, tt.fact) || (tt.text == "") != (s.State == OK) ||
				!strings.Contains(s.Text, tt.text) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestOtherClientID: thing variables of a policy need the thing's name.
func TestOtherClientID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	c.SetPolicy(r.issue("press-line-2", awsiottest.Terms{}).ID, rules.Policy{})
	r.o.Config.ClientID = "press-2"
	report := Check(t.Context(), r.o)
	fails(t, report, Connect)
	if s := report.Step(Connect); !strings.Contains(s.Fix, "the client id is not the thing name") ||
		!strings.Contains(s.Fix, "if the thing is called press-line-2, or attach") {
		t.Errorf("%q", s.Fix)
	}
	if s := report.Step(Files); !slices.Contains(s.Facts,
		Fact{"client id", `press-2, not the common name "press-line-2", not the thing name "press-line-2"`}) {
		t.Errorf("%+v", s.Facts)
	}
}
