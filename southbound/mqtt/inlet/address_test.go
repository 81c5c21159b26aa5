package inlet

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
)

// TestAddresses: what is wrong with addresses is told at the one that has it.
func TestAddresses(t *testing.T) {
	users := map[string]User{"u": {PasswordFile: "f"}}
	secure := func(listen ...string) *TLS { return &TLS{Listen: listen, Certificate: "c", PrivateKey: "k"} }
	each := func(topic string, every time.Duration) []Publish {
		return []Publish{{Topic: "a", Every: setting.Duration(time.Second)}, {Topic: topic, Every: setting.Duration(every)}}
	}
	for name, tt := range map[string]struct {
		broker Broker
		want   string // path and a part of the text of the only error, "" for none
	}{
		"both kinds": {Broker{Listen: Addresses{"127.0.0.1:1883", "ws://127.0.0.1:8083/mqtt"}}, ""},
		"no path":    {Broker{Listen: Addresses{"ws://127.0.0.1:8083"}}, ""},
		"wss without tls": {Broker{Listen: Addresses{"127.0.0.1:1", "wss://127.0.0.1:8083"}},
			"listen.1: needs a certificate"},
		"ws in tls":          {Broker{TLS: secure("ws://127.0.0.1:8083")}, "tls.listen: is without TLS"},
		"wss in tls":         {Broker{TLS: secure("wss://127.0.0.1:8083/mqtt", "127.0.0.1:8883")}, ""},
		"another scheme":     {Broker{Listen: Addresses{"http://127.0.0.1:8083"}}, "listen: ws://"},
		"a query":            {Broker{Listen: Addresses{"ws://127.0.0.1:8083/?a"}}, "listen: a path alone"},
		"ws without port":    {Broker{Listen: Addresses{"ws://127.0.0.1"}}, "listen: not host:port"},
		"ws beyond loopback": {Broker{Listen: Addresses{"ws://0.0.0.0:8083"}}, "listen: anyone who reaches"},
		"with users":         {Broker{Listen: Addresses{"ws://0.0.0.0:8083"}, Users: users}, ""},
		"origins": {Broker{Listen: Addresses{"[::1]:1"}, Origins: []string{"*", "https://a:1", "b"}},
			"origins.2: not the origin"},
		"origin with path": {Broker{Listen: Addresses{"[::1]:1"}, Origins: []string{"https://a/"}},
			"origins.0: not the origin"},
		"a pair":          {Broker{URL: Addresses{"mqtt://a:1", "wss://b:2/mqtt?x=1"}}, ""},
		"the same twice":  {Broker{URL: Addresses{"mqtt://a:1", "mqtt://a:1"}}, "url.1: twice"},
		"second is wrong": {Broker{URL: Addresses{"mqtt://a:1", "tcp://b:1"}}, "url.1: does not begin with"},
		"path of mqtt":    {Broker{URL: Addresses{"mqtt://a:1/x"}}, "url: host and a port"},
		"tls of one":      {Broker{URL: Addresses{"mqtt://a:1", "mqtts://b:1"}, TLS: &TLS{CA: "ca"}}, ""},
		"tls of none": {Broker{URL: Addresses{"mqtt://a:1", "ws://b:1"}, TLS: &TLS{CA: "ca"}},
			"tls: mqtts:// or wss://"},
		"publish": {Broker{URL: Addresses{"mqtt://a:1"}, Publish: each("R/x/keepalive", time.Minute)}, ""},
		"publish a wildcard": {Broker{URL: Addresses{"mqtt://a:1"}, Publish: each("R/+", time.Minute)},
			"publish.1.topic: not the topic"},
		"publish always":    {Broker{URL: Addresses{"mqtt://a:1"}, Publish: each("R", 0)}, "publish.1.every: 1s or more"},
		"publish embedded":  {Broker{Listen: Addresses{"[::1]:1"}, Publish: each("R", time.Minute)}, ""},
		"origins of a site": {Broker{URL: Addresses{"mqtt://a:1"}, Origins: []string{"*"}}, "origins: embedded broker"},
	} {
		var got []string
		for _, p := range tt.broker.Validate() {
			if !p.Warning {
				got = append(got, strings.Join(p.Path, ".")+": "+p.Text+": "+p.Fix)
			}
		}
		path, text, _ := strings.Cut(tt.want, ": ")
		ok := len(got) == 1 && strings.HasPrefix(got[0], path+": ") && strings.Contains(got[0], text)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !ok {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// FuzzAddresses: what is taken can be dialled, or listened on.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"127.0.0.1:1883", "ws://[::1]:8083/mqtt", "wss://a:1/x?y", "mqtts://a:8883",
		"mqtt://%41:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := ParseListener(s); err == nil && checkAddress(l.Address, s) != nil {
			t.Errorf("%q: %+v", s, l)
		}
		if u, err := ParseURL(s); err == nil && (u.Hostname() == "" || u.Port() == "") {
			t.Errorf("%q: %v", s, u)
		}
	})
}
