package gateway

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// TestCanaryRuns runs gateways that have secrets wherever they may be, right ones and
// wrong ones, and looks for them in all that leaves the process.
func TestCanaryRuns(t *testing.T) {
	const word, pem = "kanarek-7f3a91c2",
		"-----BEGIN PRIVATE KEY-----\nkanarek7f3a91c2MIGHAgEAMBMG\n-----END PRIVATE KEY-----\n"
	r := newStopRig(t)
	var out logText // all that leaves
	r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
		fmt.Fprintf(&out, "%s %s\n", m.Topic, m.Payload)
		return awsiottest.Verdict{}
	})
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write := func(name, text string) string {
		path := filepath.Join(r.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("word", word+"\n")
	write("wrong.key", pem)
	t.Setenv("FB_CA", read("certs/ca.pem"))
	t.Setenv("FB_HOST", word+"..invalid")
	t.Setenv("FB_WORD", word)
	text := fmt.Sprintf(`gateway: g
log: {level: debug}
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: %q, private_key: "${file:certs/g.key}",
    ca: "${env:FB_CA}", topic: t, linger: 0s, shadow: {name: gateway, every: 10s}}}
southbound:
  modbus:
    buses:
      b: {url: "tcp://%s"}
      named: {url: "tcp://${env:FB_HOST}:502", timeout: 200ms}
      secure: {url: "tls://%s", tls: {certificate: "${file:wrong.key}", private_key: "${file:wrong.key}"}}
      trusting: {url: "tls://%s", tls: {ca: %q}}
    devices:
      d: {bus: b, every: 100ms, points: {a: {holding: 0}}}
      e: {bus: named, every: 100ms, points: {a: {holding: 0}}}
      f: {bus: secure, every: 100ms, points: {a: {holding: 0}}}
      h: {bus: trusting, every: 100ms, points: {a: {holding: 0}}}
  mqtt:
    brokers:
      local: {tls: {listen: "127.0.0.1:0", certificate: "${file:wrong.key}", private_key: "${file:wrong.key}"},
        users: {u: {password_file: "${file:word}"}}}
      site: {url: "mqtt://${env:FB_HOST}:1883", username: u, password_file: "${file:word}"}
    sensors:
      s: {broker: local, topic: a, device: x, point: y}
      r: {broker: site, topic: a, device: z, point: y}
store: {dir: queue}
`, r.cloud.Addr(), read("certs/g.pem"), r.device, r.device, r.device, pem)
	// What the files of brokers hold is a path to nothing: they cannot be missing.
	write(word, "another")
	g := r.run(t, write("g.yaml", text), &out)
	defer r.cancel()
	look := func() {
		for _, page := range []string{"/status", "/healthz", "/metrics", "/", "/devices/d", "/device/f"} {
			answer, err := control.Get(t.Context(), g.dir, page)
			fmt.Fprintln(&out, string(answer), err)
			w := httptest.NewRecorder()
			g.view.Handler().ServeHTTP(w, httptest.NewRequest("GET", page, nil))
			fmt.Fprintln(&out, w.Body)
		}
		fmt.Fprintln(&out, shadowReport(g.Status()))
	}
	wait(t, "the cloud is there", func() bool {
		return g.Status().Link.Connected && strings.Contains(out.String(), "/shadow/")
	})
	wait(t, "all else is wrong", func() bool {
		down := 0
		for _, b := range g.Status().Buses {
			if !b.Down.IsZero() {
				down++
			}
		}
		return down >= 2 && strings.Contains(out.String(), "no sensor can connect") &&
			strings.Contains(out.String(), "no connection to site broker")
	})
	look()
	reload := func(old, new string) {
		write("g.yaml", strings.Replace(text, old, new, 1))
		done, err := control.ReloadPage.Ask(t.Context(), g.dir, control.Reload{Good: 1})
		fmt.Fprintln(&out, done, err)
		look()
	}
	for _, wrong := range []string{"${file:word}", "${env:FB_WORD}", "${file:wrong.key}", word + "${file:wrong.key}"} {
		reload("linger: 0s", fmt.Sprintf("linger: %q", wrong))
		reload("${file:certs/g.key}", wrong)
	}
	reload("${file:certs/g.key}", strings.ReplaceAll(pem, "\n", `\n`))
	reload("linger: 0s", fmt.Sprintf("proxy: %q", "http://u:"+word+"@127.0.0.1:1"))
	wait(t, "the proxy is tried", func() bool { return !g.Status().Link.Connected })
	wait(t, "the proxy is refused", func() bool { return strings.Contains(out.String(), "proxy") })
	look()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	all := out.String()
	secrets := []string{"kanarek", "a2FuYXJla"}
	for line := range strings.Lines(read("certs/g.key")) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && line != "" {
			secrets = append(secrets, line)
		}
	}
	for _, secret := range secrets {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%q has left: …%s…", secret, all[max(0, i-200):min(len(all), i+100)])
		}
	}
	for _, origin := range []string{"${file:" + r.dir + "/wrong.key}", "${env:FB_HOST}"} {
		if !strings.Contains(all, origin) {
			t.Errorf("%s is not told", origin)
		}
	}
}
