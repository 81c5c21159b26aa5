package inlet

import (
	"strings"
	"testing"
)

func TestValidateGuarded(t *testing.T) {
	pair := TLS{Listen: Addresses{"0.0.0.0:8883"}, Certificate: "c", PrivateKey: "k"}
	withCA := pair
	withCA.CA = "ca"
	for _, c := range []struct {
		broker Broker
		want   string // path of the only problem, "" for none
	}{
		{Broker{Listen: Addresses{"0.0.0.0:1883"}}, "listen"}, {Broker{Listen: Addresses{":1883"}}, "listen"},
		{Broker{Listen: Addresses{"[::1]:1883"}}, ""},
		{Broker{Listen: Addresses{"localhost:1883"}}, ""},
		{Broker{Listen: Addresses{"gateway:1883"}}, "listen"}, {Broker{Listen: Addresses{":1883"}, Anonymous: true}, ""},
		{Broker{Listen: Addresses{":1883"}, Users: map[string]User{"u": {PasswordFile: "f"}}}, ""},
		{Broker{TLS: &pair}, "tls.listen"}, {Broker{TLS: &withCA}, ""},
		{Broker{Listen: Addresses{"10.0.0.1:1883"}, TLS: &withCA}, "listen"},
		{Broker{Listen: Addresses{"[::1]:1883"}, TLS: &TLS{}}, "tls"},
		{Broker{Listen: Addresses{"[::1]:1883"}, MaxMessage: 10}, "max_message"},
		{Broker{Listen: Addresses{"[::1]:1883"}, MaxClients: -1}, "max_clients"},
		{Broker{Listen: Addresses{"[::1]:1883"}, Users: map[string]User{"u": {}}}, "users.u"},
		{Broker{Listen: Addresses{"[::1]:1883"},
			Users: map[string]User{"u": {PasswordFile: "f", Topics: []string{"a", "#/b"}}}},
			"users.u.topics.1"},
		{Broker{URL: Addresses{"mqtt://a:1"}, TLS: &TLS{CA: "ca"}}, "tls"}, {Broker{URL: Addresses{"mqtts://a:1"}}, ""},
		{Broker{URL: Addresses{"mqtts://a:1"}, TLS: &TLS{Certificate: "c"}}, "tls"},
		{Broker{URL: Addresses{"mqtts://a:1"}, MaxClients: 1}, "max_clients"},
		{Broker{URL: Addresses{"mqtts://a:1"}, Anonymous: true}, "anonymous"},
	} {
		problems := c.broker.Validate()
		var got []string
		for _, p := range problems {
			if p.Warning {
				continue
			}
			got = append(got, strings.Join(p.Path, "."))
		}
		if len(got) > 0 && (len(got) > 1 || got[0] != c.want) || len(got) == 0 && c.want != "" {
			t.Errorf("%+v: got problems at %v, want %q", c.broker, got, c.want)
		}
	}
}

// TestPlainBeyondLoopback: what travels in clear text over a network is warned of.
func TestPlainBeyondLoopback(t *testing.T) {
	for listen, want := range map[string]int{"127.0.0.1:1883": 0, "localhost:1883": 0, "0.0.0.0:1883": 1, ":1883": 1} {
		b := Broker{Listen: Addresses{listen}, Users: map[string]User{"u": {PasswordFile: "f"}}}
		if got := b.Validate(); len(got) != want || want == 1 && !got[0].Warning {
			t.Errorf("%s: %v", listen, got)
		}
	}
}
