package awsiot

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/setting"
)

const fleetTemplate = `{
	"Parameters": {"GatewayName": {"Type": "String"}, "Line": {"Type": "String"},
		"AWS::IoT::Certificate::Id": {"Type": "String"}},
	"Resources": {
		"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "GatewayName"}},
			"OverrideSettings": {"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING"}},
		"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
			"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE",
			"ThingPrincipalType": "EXCLUSIVE_THING"}},
		"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "gateways"}}}}`

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`

// newcomer is a gateway with a claim and no certificate.
type newcomer struct {
	*rig
	authority *authority.Service
	template  authority.Template
	claim     awsiottest.Identity
	state     string // where it keeps its identity
}

// newNewcomer starts a stand-in that provisions, and makes a gateway with a claim. It is
// called in a bubble.
func newNewcomer(t *testing.T, change func(n *newcomer, cfg *Config)) *newcomer {
	t.Helper()
	n := &newcomer{state: t.TempDir(), template: authority.Template{Name: "line", Body: fleetTemplate}}
	claims := filepath.Join(t.TempDir(), "claim")
	n.rig = newRig(t, func(cfg *Config, o *Options) {
		cfg.Certificate, cfg.PrivateKey = "", ""
		cfg.Identity.Provision.Template, cfg.Identity.Provision.Claim = "line", setting.Path(claims)
		cfg.Identity.Provision.Parameters = map[string]string{"Line": "7"}
		o.Identity = n.state
		if change != nil {
			change(n, cfg)
		}
	})
	n.authority = authority.New(n.cloud.Registry(), n.cloud.Authority())
	n.cloud.Serve(n.authority)
	must(t, n.cloud.Registry().AddPolicy("gateways", allowAll))
	must(t, n.authority.AddTemplate(n.template))
	var err error
	n.claim, err = n.cloud.Authority().Issue("claim", awsiottest.Terms{})
	must(t, err)
	_, err = n.authority.AdmitClaim(n.claim.Certificate, "line")
	must(t, err)
	must(t, os.Mkdir(claims, 0o700))
	for from, to := range map[string]string{n.claim.Certificate: "c.pem.crt", n.claim.PrivateKey: "c.pem.key"} {
		data, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(claims, to), data, 0o600))
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder returns the claim's folder.
func (n *newcomer) folder() string { return string(n.cfg.Identity.Provision.Claim) }

// files returns how many files the claim's folder has.
func (n *newcomer) files() int {
	all, err := os.ReadDir(n.folder())
	must(n.t, err)
	return len(all)
}

// own returns the ids of the certificates of the gateway's thing.
func (n *newcomer) own() []string { return n.cloud.Registry().Principals("gateway-1") }

// asNewcomer runs a test with a gateway that has a claim, in fake time.
func asNewcomer(t *testing.T, change func(n *newcomer, cfg *Config), f func(t *testing.T, n *newcomer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNewcomer(t, change)
		defer n.stop()
		f(t, n)
	})
}

// TestFirstConnection: a gateway with a claim gets its certificate and connects with it;
// the claim goes when the cloud has acknowledged its birth.
func TestFirstConnection(t *testing.T) {
	asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
		n.start()
		<-n.links
		synctest.Wait()
		s := n.sink.Link().Identity
		if s == nil || s.Way != "claim" || s.Trial || len(n.own()) != 1 || s.ID != n.own()[0] || s.Rotates.IsZero() {
			t.Errorf("identity %+v, at the cloud %v", s, n.own())
		}
		if n.files() != 0 {
			t.Error("the claim is still there")
		}
		if h := n.sink.Health(); len(h) != 0 {
			t.Errorf("health %v", h)
		}
		// The next start needs no claim.
		n.cancel()
		<-n.ended
		n.sink = n.next(n.sink.options)
		n.start()
		<-n.links
		if len(n.own()) != 1 {
			t.Errorf("another start made %v", n.own())
		}
	})
}

// TestAwaitsItsIdentity: what the cloud refuses is told with what to do, and tried
// until it is mended; nothing is left behind.
func TestAwaitsItsIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		change func(n *newcomer)
		mend   func(n *newcomer)
		says   string
	}{
		"no claim": {
			func(n *newcomer) { must(n.t, os.Rename(n.folder(), n.folder()+"~")) },
			func(n *newcomer) { must(n.t, os.Rename(n.folder()+"~", n.folder())) }, "there is no claim in /"},
		"no template": {
			func(n *newcomer) { n.authority.DeleteTemplate("line") },
			func(n *newcomer) { must(n.t, n.authority.AddTemplate(n.template)) }, "no provisioning template line"},
		"the hook says no": {
			func(n *newcomer) { n.hook(false) }, func(n *newcomer) { n.hook(true) }, "pre-provisioning hook"},
		"the claim is revoked": {
			func(n *newcomer) { n.cloud.SetStatus(n.claim.ID, registry.Revoked) },
			func(n *newcomer) { n.cloud.SetStatus(n.claim.ID, registry.Active) }, "by the claim in"},
		"throttled": {
			func(n *newcomer) { n.refuse(429, "ThrottlingException") }, func(n *newcomer) { n.authority.Refuse(nil) },
			"too many gateways"},
		"out of order": {
			func(n *newcomer) { n.refuse(500, "InternalFailure") }, func(n *newcomer) { n.authority.Refuse(nil) },
			"trying again"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
				c.change(n)
				n.start()
				time.Sleep(10 * time.Minute)
				h := n.sink.Health()
				if len(h) != 1 || h[0].Code != condition.IdentityAwaited.Code || !strings.Contains(h[0].Text, c.says) {
					t.Errorf("health %+v", h)
				}
				if s := n.sink.Link().Identity; s == nil || s.Way != "none" {
					t.Errorf("identity %+v", s)
				}
				c.mend(n)
				begin := time.Now()
				<-n.links
				if d := time.Since(begin); d > 6*time.Minute {
					t.Errorf("connected %s after it was mended", d)
				}
				if len(n.own()) != 1 {
					t.Errorf("certificates %v", n.own())
				}
			})
		})
	}
}

// hook has the template's hook allow or refuse.
func (n *newcomer) hook(allow bool) {
	t := n.template
	t.Hook = func(r authority.HookRequest) (authority.HookAnswer, error) {
		return authority.HookAnswer{Allow: allow && r.Parameters["Line"] == "7"}, nil
	}
	must(n.t, n.authority.AddTemplate(t))
}

// refuse has each request refused.
func (n *newcomer) refuse(status int, code string) {
	n.authority.Refuse(func(authority.API, service.Caller) *authority.Rejected {
		return &authority.Rejected{Status: status, Code: code, Text: "as told"}
	})
}

// rotates has the gateway renew its identity, and returns what became of it after the
// gateway is connected again.
func (n *newcomer) rotates() error {
	outcome := make(chan error, 1)
	go func() { outcome <- n.sink.Rotate(n.t.Context()) }()
	err := <-outcome
	<-n.lost
	<-n.links
	return err
}

// TestRotation: a new key and certificate beside the old, used for good after the cloud's
// acknowledgement; both are the thing's.
func TestRotation(t *testing.T) {
	asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
		n.start()
		<-n.links
		synctest.Wait()
		old := n.sink.Link().Identity.ID
		must(t, n.rotates())
		synctest.Wait()
		s := n.sink.Link().Identity
		if s.Way != "rotation" || s.ID == old || s.Trial || len(n.own()) != 2 {
			t.Errorf("%+v, at the cloud %v", s, n.own())
		}
		// The cloud may end the old one now.
		n.cloud.SetStatus(old, registry.Revoked)
		n.cloud.Drop("gateway-1")
		<-n.lost
		<-n.links
	})
}

// TestRotationThatFails in each way ends with the old certificate and says why.
func TestRotationThatFails(t *testing.T) {
	for name, spoil := range map[string]func(n *newcomer){
		"expired": func(n *newcomer) {
			n.authority.Validity(func(*x509.CertificateRequest) (from, to time.Time) {
				return time.Now().Add(-48 * time.Hour), time.Now().Add(-24 * time.Hour)
			})
		},
		"inactive": func(n *newcomer) { n.spoil(registry.Inactive) },
		"revoked":  func(n *newcomer) { n.spoil(registry.Revoked) },
		"unknown":  func(n *newcomer) { n.spoil("") },
		"policy denies all": func(n *newcomer) {
			n.later(func(id string) { n.cloud.Registry().Override(id, nil) })
		},
		"refused": func(n *newcomer) { n.refuse(403, "ACCESS_DENIED") },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
				n.start()
				<-n.links
				synctest.Wait()
				old := n.sink.Link().Identity.ID
				spoil(n)
				outcome := make(chan error, 1)
				go func() { outcome <- n.sink.Rotate(t.Context()) }()
				if err := <-outcome; err == nil || len(err.Error()) < 40 {
					t.Errorf("told %v", err)
				}
				if name != "refused" {
					<-n.lost
					<-n.links
				}
				synctest.Wait()
				if s := n.sink.Link(); !s.Connected || s.Identity.ID != old || s.Identity.Failed == "" {
					t.Errorf("%+v %+v", s, s.Identity)
				}
				h := n.sink.Health()
				if len(h) != 1 || h[0].Code != condition.IdentityNotRenewed.Code {
					t.Errorf("health %v", h)
				}
			})
		})
	}
}

// spoil gives the next certificate of the gateway a state, once it is registered.
func (n *newcomer) spoil(to registry.Status) {
	n.later(func(id string) { n.cloud.SetStatus(id, to) })
}

// later calls f with the next certificate that is attached to the gateway.
func (n *newcomer) later(f func(id string)) {
	before := n.own()
	go func() {
		for {
			time.Sleep(time.Second)
			for _, id := range n.own() {
				if id != before[0] {
					f(id)
					return
				}
			}
		}
	}()
}

// TestRevokedFallsBackToTheClaim where one is left.
func TestRevokedFallsBackToTheClaim(t *testing.T) {
	asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
		kept := make(map[string][]byte)
		dir := string(n.cfg.Identity.Provision.Claim)
		for _, name := range []string{"c.pem.crt", "c.pem.key"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			must(t, err)
			kept[name] = data
		}
		n.start()
		<-n.links
		synctest.Wait()
		old := n.sink.Link().Identity.ID
		for name, data := range kept {
			must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
		n.cloud.SetStatus(old, registry.Revoked)
		n.cloud.Drop("gateway-1")
		<-n.lost
		<-n.links
		synctest.Wait()
		if s := n.sink.Link().Identity; s.ID == old || s.Way != "claim" || n.files() != 0 {
			t.Errorf("%+v, claim's files %d", s, n.files())
		}
	})
}

// TestJustInTime: an authority of the user's is registered; AWS refuses the first two
// connections of a certificate that it does not know, and takes the third.
func TestJustInTime(t *testing.T) {
	asNewcomer(t, nil, func(t *testing.T, n *newcomer) {
		plant, err := awsiottest.NewAuthority(t.TempDir(), "plant-ca")
		must(t, err)
		body := strings.NewReplacer("GatewayName", "AWS::IoT::Certificate::CommonName", `"Line": {"Type": "String"},`, "").
			Replace(fleetTemplate)
		must(t, n.authority.AddTemplate(authority.Template{Name: "just", Kind: authority.JITP, Body: body}))
		_, err = n.authority.RegisterCA(authority.CA{Certificate: plant.Certificate(), AutoRegister: true, Template: "just",
			Refusals: 2})
		must(t, err)
		id, err := plant.Issue("gateway-1", awsiottest.Terms{})
		must(t, err)
		n.cfg.Identity.Provision = validConfig().Identity.Provision
		n.cfg.Certificate, n.cfg.PrivateKey = setting.Path(id.Certificate), setting.Path(id.PrivateKey)
		n.sink = n.next(n.sink.options)
		begin := time.Now()
		n.start()
		<-n.links
		if d := time.Since(begin); d > time.Minute {
			t.Errorf("connected after %s", d)
		}
		if got := n.own(); len(got) != 1 || got[0] != id.ID || n.sink.failures.Load() < 2 {
			t.Errorf("certificates %v after %d refusals", got, n.sink.failures.Load())
		}
	})
}
