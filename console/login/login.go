// Package login says who may look at the console: people who know a password of a
// file, for as long as their session lasts, and programs that have the token of
// another. It changes nothing but who is logged in.
package login

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fieldbridge/password"
	"fieldbridge/setting"
)

// Rules say who may look at what.
type Rules struct {
	// PasswordFile has a user and a hash on each line, as mosquitto_passwd writes it;
	// "" lets everyone look.
	PasswordFile setting.Path
	// TokenFile has on its first line what programs that ask for one of Programs say
	// as their bearer token; "" lets those in who may look.
	TokenFile setting.Path
	Secure    bool     // the console is asked over TLS
	Programs  []string // paths
	Open      []string // paths that anyone may ask for
	// Ask writes the page that asks who is there; wrong says that the last answer was.
	Ask func(w http.ResponseWriter, r *http.Request, code int, wrong bool)
}

// Door lets those in who may look. It is safe for concurrent use.
type Door struct {
	Rules
	guard    *password.Guard
	sessions sessions
}

// New returns a door with nobody logged in.
func New(r Rules) (*Door, error) {
	guard, err := password.NewGuard()
	return &Door{Rules: r, guard: guard}, err
}

// visitor is the key of who is logged in, of a request's context.
type visitor struct{}

// Visitor returns who asks; "" where nobody has to log in.
func Visitor(r *http.Request) string {
	name, _ := r.Context().Value(visitor{}).(string)
	return name
}

// Path is what a login is posted to.
const Path = "/login"

// mostForm is how many bytes a login may have.
const mostForm = 8 << 10

// Guard returns h for those who may ask it.
func (d *Door) Guard(h http.Handler) http.Handler {
	form := http.MaxBytesHandler(http.HandlerFunc(d.post), mostForm)
	form = http.NewCrossOriginProtection().Handler(form) // no page elsewhere logs a browser in or out
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		program := slices.Contains(d.Programs, r.URL.Path)
		switch {
		case slices.Contains(d.Open, r.URL.Path):
			h.ServeHTTP(w, r)
		case r.URL.Path == Path && d.PasswordFile != "" && r.Method == http.MethodPost:
			form.ServeHTTP(w, r)
		case program && d.TokenFile != "" && d.knows(r.Header.Get("Authorization")):
			h.ServeHTTP(w, r)
		case program && d.TokenFile != "" && d.PasswordFile == "":
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this needs the token of console.token_file", http.StatusUnauthorized)
		case d.PasswordFile == "":
			h.ServeHTTP(w, r)
		default:
			d.asLoggedIn(w, r, h)
		}
	})
}

// asLoggedIn lets h answer if who asks is logged in.
func (d *Door) asLoggedIn(w http.ResponseWriter, r *http.Request, h http.Handler) {
	w.Header().Set("Cache-Control", "no-store")
	if name := d.sessions.user(r, d.users); name != "" {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitor{}, name)))
		return
	}
	d.Ask(w, r, http.StatusUnauthorized, false)
}

// post logs someone in or out.
func (d *Door) post(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if err := r.ParseForm(); err != nil {
		http.Error(w, "this is not a login", http.StatusBadRequest)
		return
	}
	if r.PostForm.Get("leave") != "" {
		d.sessions.end(w, r, d.Secure)
		home(w, "")
		return
	}
	user := r.PostForm.Get("user")
	line := d.users()[user]
	hash, err := password.Parse(line)
	if err != nil || line == "" {
		hash = password.Hash{} // takes as long to say no
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !d.guard.Check(r.Context(), host, user, []byte(r.PostForm.Get("password")), hash) {
		d.Ask(w, r, http.StatusUnauthorized, true)
		return
	}
	d.sessions.begin(w, r, user, line, d.Secure)
	home(w, r.PostForm.Get("device"))
}

// home sends a browser to the page, of a device if one is named. The address is relative: the console may stand
// behind another server, below a path of that one.
func home(w http.ResponseWriter, device string) {
	to := "./"
	if device != "" {
		to += "device/" + url.PathEscape(device)
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// users returns the hashes of the file, by user; none if it cannot be read.
func (d *Door) users() map[string]string {
	text, err := d.PasswordFile.Read()
	if err != nil {
		return nil
	}
	all, _ := parse(text)
	return all
}

// parse returns the hashes of a password file by user, and what is wrong with it.
func parse(text []byte) (all map[string]string, err error) {
	all = make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		if _, bad := password.Parse(hash); !ok || user == "" || bad != nil || !password.IsHash(hash) {
			return nil, fmt.Errorf("line %d is not USER:HASH", n)
		}
		all[user] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("it has no user")
	}
	return all, nil
}

// knows reports whether an Authorization header has the token. An empty file is
// nobody's token.
func (d *Door) knows(header string) bool {
	const scheme = "bearer "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return false
	}
	text, err := d.TokenFile.Read()
	if err != nil {
		return false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	want, got := sha256.Sum256([]byte(strings.TrimSpace(line))),
		sha256.Sum256([]byte(strings.TrimSpace(header[len(scheme):])))
	return strings.TrimSpace(line) != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// Check returns why nobody can log in; nil if somebody can, or nobody has to.
func (r *Rules) Check() error {
	if r.PasswordFile == "" {
		return nil
	}
	text, err := r.PasswordFile.Read()
	if err == nil {
		if _, err = parse(text); err != nil {
			err = fmt.Errorf("%s: %w", r.PasswordFile, err)
		}
	}
	return err
}
