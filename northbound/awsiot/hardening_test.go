package awsiot

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// subjects returns the conditions as "severity subject".
func subjects(s *Sink) string {
	var all []string
	for _, c := range s.Health() {
		all = append(all, string(c.Severity)+" "+c.Subject)
	}
	return strings.Join(all, ", ")
}

func TestCloneAlarm(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		r.cloud.TakeOver("gateway-1")
		<-r.links
		synctest.Wait()
		if got := subjects(r.sink); got != "warning identity" {
			t.Errorf("after a takeover: %s", got)
		}
		time.Sleep(onceFor)
		if got := subjects(r.sink); got != "" {
			t.Errorf("5 min after a single takeover: %s", got)
		}
		r.cloud.TakeOver("gateway-1")
		<-r.links
		synctest.Wait()
		if got := subjects(r.sink); got != "alarm identity" {
			t.Errorf("after a second takeover: %s", got)
		}
		time.Sleep(uplink.TakeoverMemory)
		if got := subjects(r.sink); got != "" {
			t.Errorf("an hour later: %s", got)
		}
	})
}

func TestSilenceAfterReconnecting(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Lose: true} })
		r.start()
		<-r.links // its birth is not acknowledged, and so it ends
		link := <-r.links
		synctest.Wait()
		if got := subjects(r.sink); got != "alarm uplink" {
			t.Errorf("connected again, nothing acknowledged: %s", got)
		}
		r.cloud.Script(nil)
		if err := <-publish(link, "t", "x"); err != nil {
			t.Error(err)
		}
		if got := subjects(r.sink); got != "" {
			t.Errorf("after an acknowledgement: %s", got)
		}
	})
}

func TestDeniedTopicIsAnAlarmUntilItIsTaken(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Code: 0x87} })
		if err := <-publish(link, "closed", "x"); !bridge.IsTopicRefused(err) || bridge.IsPermanent(err) {
			t.Errorf("outcome %v, want a refusal of the topic", err)
		}
		if h := r.sink.Health(); len(h) != 1 || h[0].Severity != condition.Alarm || !strings.Contains(h[0].Text,
			"messages to closed") {
			t.Errorf("health %+v", h)
		}
		r.cloud.Script(nil)
		if err := <-publish(link, "closed", "x"); err != nil {
			t.Error(err)
		}
		if h := r.sink.Health(); len(h) != 0 {
			t.Errorf("health %+v", h)
		}
	})
}

func TestLinkStatusAndMetrics(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		l := r.sink.Link()
		if !strings.HasPrefix(l.TLS, "TLS 1.3, TLS_") || l.Own == nil || l.Own.Subject != "CN=gateway-1" || l.Server == nil ||
			l.Server.Subject != "CN=server" {
			t.Errorf("link %+v, own %+v, server %+v", l, l.Own, l.Server)
		}
		seen := make(map[string]float64)
		r.sink.Observe(func(m bridge.Metric) { seen[m.Name+strings.Join(m.Labels, "=")] = m.Value })
		version, cipher, _ := strings.Cut(l.TLS, ", ")
		if seen["fieldbridge_uplink_tls_infoversion="+version+"=cipher="+cipher] != 1 {
			t.Errorf("TLS %s is not in the metrics", l.TLS)
		}
		if seen["fieldbridge_uplink_connected"] != 1 ||
			seen["fieldbridge_certificate_expiry_timestamp_secondsof=gateway"] != float64(l.Own.Expires.Unix()) ||
			seen["fieldbridge_certificate_expiry_timestamp_secondsof=cloud"] != float64(l.Server.Expires.Unix()) {
			t.Errorf("metrics %v", seen)
		}
	})
}

func TestExpiring(t *testing.T) {
	own := &bridge.CertificateStatus{Expires: noon}
	for left, want := range map[time.Duration]condition.Severity{
		31 * 24 * time.Hour: "", 29 * 24 * time.Hour: condition.Warning, 6 * 24 * time.Hour: condition.Alarm,
		-time.Minute: condition.Alarm,
	} {
		if c, ok := expiring(own, noon.Add(-left)); c.Severity != want || ok != (want != "") || ok &&
			c.Since.After(noon.Add(-left)) {
			t.Errorf("%v before: %+v, want %q", left, c, want)
		}
	}
}

// TestExpiry lets the certificate expire with the connection up: that goes on,
// and a new file is used at once.
func TestExpiry(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		replace(t, r, time.Hour)
		r.start()
		<-r.links
		time.Sleep(30 * time.Minute)
		replace(t, r, time.Hour)
		time.Sleep(10 * time.Minute)
		if len(r.lost) > 0 {
			t.Error("a new file ended the connection though the old certificate is good")
		}
		<-r.links // the old one has expired: the new one is used
		<-r.lost
		time.Sleep(time.Hour)
		if len(r.lost) > 0 || subjects(r.sink) != "alarm certificate" {
			t.Errorf("expired: %d connections lost, health %q", len(r.lost), subjects(r.sink))
		}
		replace(t, r, 365*24*time.Hour)
		begin := time.Now()
		<-r.links
		if took := time.Since(begin); took > fileCheck+uplink.ConnectPause {
			t.Errorf("the new certificate was used after %v", took)
		}
		if got := subjects(r.sink); got != "" {
			t.Errorf("with the new certificate: %s", got)
		}
	})
}

// replace puts a new certificate and key where the old ones are.
func replace(t *testing.T, r *rig, valid time.Duration) {
	t.Helper()
	terms := awsiottest.Terms{}
	if valid != 0 {
		terms.NotAfter = time.Now().Add(valid)
	}
	for _, path := range []setting.Path{r.cfg.Certificate, r.cfg.PrivateKey} {
		if err := os.Remove(string(path)); err != nil {
			t.Fatal(err)
		}
	}
	id, err := r.cloud.Authority().Issue("gateway-1", terms)
	if err != nil {
		t.Fatal(err)
	}
	r.cloud.SetStatus(id.ID, registry.Active)
}

func TestNewFilesEndTheWait(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		replace(t, r, time.Nanosecond) // expired
		time.Sleep(time.Second)
		r.start()
		time.Sleep(20 * time.Minute) // the backoff is long by now
		if h := r.sink.Health(); len(h) == 0 || !strings.Contains(h[0].Text, "our certificate has expired") {
			t.Errorf("health %+v", h)
		}
		replace(t, r, 0)
		begin := time.Now()
		<-r.links
		if took := time.Since(begin); took > fileCheck+uplink.ConnectPause {
			t.Errorf("the new certificate was used after %v", took)
		}
	})
}
