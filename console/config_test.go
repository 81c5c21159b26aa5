package console

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	tls := &TLS{Certificate: "c.pem", PrivateKey: "k.pem"}
	for _, tt := range []struct {
		c    Config
		want string // paths, with ! before errors
	}{
		{Config{}, ""},
		{Config{PasswordFile: "p"}, "!listen"},
		{Config{Listen: "127.0.0.1:8080"}, ""},
		{Config{Listen: "[::1]:1"}, ""},
		{Config{Listen: "localhost:80", PasswordFile: "p", TokenFile: "t"}, ""},
		{Config{Listen: "127.0.0.1"}, "!listen"},
		{Config{Listen: "8080"}, "!listen"},
		{Config{Listen: ":80"}, "listen"},
		{Config{Listen: "0.0.0.0:80"}, "listen"},
		{Config{Listen: "[::]:80"}, "listen"},
		{Config{Listen: "192.168.0.4:80", TLS: tls}, "listen"},
		{Config{Listen: "192.168.0.4:80", TLS: tls, PasswordFile: "p", TokenFile: "t"}, ""},
		{Config{Listen: "192.168.0.4:80", PasswordFile: "p", TokenFile: "t"}, "!password_file !token_file"},
		{Config{Listen: "192.168.0.4:80", PasswordFile: "p", Insecure: true}, ""},
		{Config{Listen: "192.168.0.4:80", TokenFile: "t"}, "listen !token_file"},
		{Config{Listen: "127.0.0.1:80", TLS: &TLS{Certificate: "c.pem"}}, "!tls"},
		{Config{Listen: "127.0.0.1:80", Hosts: []string{"gateway-7.plant.example", "http://gateway-7", "gateway-7:80", ""}},
			"!hosts.1 !hosts.2 !hosts.3"},
	} {
		var got []string
		for _, p := range tt.c.Validate() {
			mark := "!"
			if p.Warning {
				mark = ""
			}
			got = append(got, mark+strings.Join(p.Path, "."))
		}
		if fmt.Sprint(strings.Join(got, " ")) != tt.want {
			t.Errorf("%+v: %v, want %s", tt.c, got, tt.want)
		}
	}
	a, b := Config{TLS: tls}, Config{TLS: &TLS{Certificate: "c.pem", PrivateKey: "k.pem"}}
	if !a.Equal(b) || a.Equal(Config{TLS: tls, Insecure: true}) || a.Equal(Config{}) {
		t.Error("Equal")
	}
}
