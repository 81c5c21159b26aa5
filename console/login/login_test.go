package login

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/password"
	"fieldbridge/setting"
)

// rig is a door with a page behind it.
type rig struct {
	t      *testing.T
	h      http.Handler
	door   *Door
	cookie *http.Cookie
	file   string
}

func newRig(t *testing.T, rules Rules, users ...string) *rig {
	t.Helper()
	r := &rig{t: t, file: filepath.Join(t.TempDir(), "passwords")}
	if len(users) > 0 {
		rules.PasswordFile = setting.Path(r.file)
		r.write(users...)
	}
	rules.Programs, rules.Open = []string{"/metrics"}, []string{"/page.css"}
	rules.Ask = func(w http.ResponseWriter, _ *http.Request, code int, wrong bool) {
		w.WriteHeader(code)
		fmt.Fprintf(w, "who? %v", wrong)
	}
	door, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	r.door = door
	r.h = door.Guard(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprint(w, "page of ", Visitor(q))
	}))
	return r
}

// write makes users, whose passwords are their names backwards in capitals: "ann" has "ANN".
func (r *rig) write(users ...string) {
	text := "# who may look\n\n"
	for _, u := range users {
		hash, err := password.New([]byte(strings.ToUpper(u)))
		if err != nil {
			r.t.Fatal(err)
		}
		text += u + ":" + hash + "\n"
	}
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// ask returns code and body; header is "Name: value", or "".
func (r *rig) ask(method, path, form, header string) string {
	r.t.Helper()
	q := httptest.NewRequest(method, path, strings.NewReader(form))
	if form != "" {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		q.Header.Set(name, value)
	}
	if r.cookie != nil {
		q.AddCookie(r.cookie)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, q)
	for _, c := range w.Result().Cookies() {
		if r.cookie = c; c.MaxAge < 0 {
			r.cookie = nil
		}
	}
	body, _ := io.ReadAll(w.Body)
	return fmt.Sprint(w.Code, " ", strings.TrimSpace(string(body)))
}

func (r *rig) login(user, word string) string {
	return r.ask("POST", "/login", url.Values{"user": {user}, "password": {word}}.Encode(), "")
}

func (r *rig) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestLogin(t *testing.T) {
	r := newRig(t, Rules{Secure: true}, "ann", "bob")
	r.want("nobody", r.ask("GET", "/", "", ""), "401 who? false")
	r.want("the files of the page", r.ask("GET", "/page.css", "", ""), "200 page of")
	r.want("nobody", r.ask("GET", "/metrics", "", ""), "401 who? false")
	r.want("wrong", r.login("ann", "BOB"), "401 who? true")
	r.want("no such user", r.login("eve", ""), "401 who? true")
	r.want("no such user", r.login("", ""), "401 who? true")
	r.want("right", r.login("ann", "ANN"), "303 ")
	if c := r.cookie; c == nil || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode {
		t.Fatalf("cookie %+v", c)
	}
	r.want("logged in", r.ask("GET", "/", "", ""), "200 page of ann")
	r.want("logged in", r.ask("GET", "/metrics", "", ""), "200 page of ann")
	old := *r.cookie
	r.want("leave", r.ask("POST", "/login", "leave=1", ""), "303 ")
	if r.cookie != nil {
		t.Errorf("cookie %v", r.cookie)
	}
	r.cookie = &old
	r.want("after leaving", r.ask("GET", "/", "", ""), "401 who? false")
}

// Who logged in goes back to the device that was asked for, and nowhere else.
func TestWhereTo(t *testing.T) {
	for device, want := range map[string]string{"": "./", "a b/c": "./device/a%20b%2Fc",
		"//evil.example": "./device/%2F%2Fevil.example", "..": "./device/.."} {
		w := httptest.NewRecorder()
		if home(w, device); w.Header().Get("Location") != want {
			t.Errorf("%q: %q, want %q", device, w.Header().Get("Location"), want)
		}
	}
}

// A session ends with its user, with another password, and with time.
func TestSessionsEnd(t *testing.T) {
	r := newRig(t, Rules{}, "ann", "bob")
	r.login("bob", "BOB")
	r.want("bob", r.ask("GET", "/", "", ""), "200 page of bob")
	r.write("ann")
	r.want("bob is gone", r.ask("GET", "/", "", ""), "401 who? false")
	r.write("ann", "bob") // another salt
	r.want("bob has another password", r.ask("GET", "/", "", ""), "401 who? false")
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	r.want("no file", r.login("ann", "ANN"), "401 who? true")
	if err := r.door.Check(); err == nil {
		t.Error("a missing file is no trouble")
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Rules{}, "ann")
		r.login("ann", "ANN")
		for range 14 { // a week, and asked every 12 h
			r.want("busy", r.ask("GET", "/", "", ""), "200 page of ann")
			time.Sleep(idle)
		}
		r.want("a week", r.ask("GET", "/", "", ""), "200 page of ann")
		time.Sleep(time.Second)
		r.want("more than a week", r.ask("GET", "/", "", ""), "401 who? false")
		r.cookie = nil
		r.login("ann", "ANN")
		time.Sleep(idle + time.Second)
		r.want("idle", r.ask("GET", "/", "", ""), "401 who? false")
	})
}

// Guessing becomes slow, and sessions are bounded.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Rules{}, "ann")
		begin := time.Now()
		for range 20 {
			r.login("ann", "x")
		}
		if took := time.Since(begin); took < time.Minute {
			t.Errorf("20 guesses took %v", took)
		}
		r.want("right in the end", r.login("ann", "ANN"), "303 ")
		first := r.cookie
		for range mostSessions {
			time.Sleep(time.Millisecond)
			r.cookie = nil
			r.login("ann", "ANN")
		}
		r.want("the newest", r.ask("GET", "/", "", ""), "200 page of ann")
		r.cookie = first
		r.want("the one that was idle longest", r.ask("GET", "/", "", ""), "401 who? false")
		if n := len(r.door.sessions.all); n != mostSessions {
			t.Errorf("%d sessions", n)
		}
		r.want("too long", r.login("ann", strings.Repeat("x", mostForm)), "400 this is not a login")
	})
}

// No page elsewhere makes a browser log in.
func TestOtherOrigin(t *testing.T) {
	r := newRig(t, Rules{}, "ann")
	got := r.ask("POST", "/login", "user=ann&password=ANN", "Origin: https://evil.example")
	if !strings.HasPrefix(got, "403 ") || r.cookie != nil {
		t.Errorf("%s, cookie %v", got, r.cookie)
	}
}

func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alone := newRig(t, Rules{TokenFile: setting.Path(file)})
	both := newRig(t, Rules{TokenFile: setting.Path(file)}, "ann")
	for header, ok := range map[string]bool{"": false, "Authorization: Bearer s3cret": true,
		"Authorization: bearer  s3cret": true, "Authorization: Bearer s3cret2": false, "Authorization: Bearer ": false,
		"Authorization: Basic s3cret": false, "Authorization: Bearer more": false} {
		if got := alone.ask("GET", "/metrics", "", header); strings.HasPrefix(got, "200") != ok {
			t.Errorf("%q: %s", header, got)
		}
		if got := both.ask("GET", "/metrics", "", header); strings.HasPrefix(got, "200") != ok {
			t.Errorf("%q, with people: %s", header, got)
		}
	}
	alone.want("the page needs no token", alone.ask("GET", "/", "", ""), "200 page of")
	both.want("nor lets one in", both.ask("GET", "/", "", "Authorization: Bearer s3cret"), "401 who? false")
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := alone.ask("GET", "/metrics", "", "Authorization: Bearer "); !strings.HasPrefix(got, "401") {
		t.Errorf("an empty file: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a:$7$1$YQ==$YQ==\n", "a:b", ":", "# x\n\na:$6$YQ==$YQ==", "a:$7$$$"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		users, err := parse(text)
		if (err == nil) != (len(users) > 0) {
			t.Errorf("%v, %v", users, err)
		}
		for user, hash := range users {
			if user == "" || !password.IsHash(hash) {
				t.Errorf("%q: %q", user, hash)
			}
		}
	})
}

// Two gateways on one host: a browser has one jar for all ports, and stays logged in at
// both.
func TestTwoOnOneHost(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	var urls []string
	for range 2 {
		s := httptest.NewServer(newRig(t, Rules{}, "ann").h)
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
		a, err := client.PostForm(s.URL+"/login", url.Values{"user": {"ann"}, "password": {"ANN"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
	}
	for _, u := range urls {
		a, err := client.Get(u + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if got := strings.TrimSpace(string(body)); a.StatusCode != http.StatusOK || got != "page of ann" {
			t.Errorf("%s: %d %s", u, a.StatusCode, got)
		}
	}
}
