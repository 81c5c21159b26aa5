package console

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"fieldbridge/console/login"
	"fieldbridge/console/page"
	"fieldbridge/setting"
)

// subject is what the console's own conditions are about.
const subject = "console"

// door returns who may look.
func (v *View) door(c *Config) (*login.Door, error) {
	return login.New(login.Rules{PasswordFile: c.PasswordFile, TokenFile: c.TokenFile, Secure: c.TLS != nil,
		Programs: []string{"/metrics", "/healthz"}, Open: []string{"/page.css", "/page.js", "/icon.svg"}, Ask: v.askWho})
}

// askWho writes the page that asks who is there. Programs get a line of text.
func (v *View) askWho(w http.ResponseWriter, r *http.Request, code int, wrong bool) {
	path := r.URL.Path
	if !page.Built || path != "/" && path != login.Path && !strings.HasPrefix(path, "/device/") {
		http.Error(w, "log in first", code)
		return
	}
	ask := page.Ask{Language: page.Prefer(r.Header.Get("Accept-Language"))}
	if name, ok := strings.CutPrefix(path, "/device/"); ok {
		ask.Up, ask.Device = 1, name
	} else if path == login.Path {
		ask.Device = r.PostFormValue("device")
	}
	protect(w, "text/html; charset=utf-8")
	send(w, r, code, page.Login(ask, wrong))
}

// listen listens where c says, and returns how it is asked.
func listen(c *Config) (l net.Listener, scheme string, err error) {
	if err := c.someoneCanLogIn(); err != nil {
		return nil, "", err
	}
	if c.TLS == nil {
		l, err = net.Listen("tcp", c.Listen)
		return l, "http", err
	}
	shown := setting.TLSFiles{Certificate: c.TLS.Certificate, PrivateKey: c.TLS.PrivateKey}.Shown()
	if _, err := shown.Get(); err != nil {
		return nil, "", fmt.Errorf("console.tls: %w: put a PEM certificate and its key there", err)
	}
	l, err = tls.Listen("tcp", c.Listen, &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Get() }})
	return l, "https", err
}

// why says for people why the console is not at an address, with what to do.
func why(address string, err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program has the port of " + address + ": end it, or change console.listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no address " + address + " now: change console.listen, or wait for the network"
	case errors.Is(err, syscall.EACCES):
		return "this user may not listen on " + address + ": take a port from 1024 on, or grant CAP_NET_BIND_SERVICE"
	}
	var at *net.OpError
	if errors.As(err, &at) {
		return "it cannot listen on " + address + " (" + at.Err.Error() + "): change console.listen"
	}
	return err.Error()
}
