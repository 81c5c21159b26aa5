package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// A session ends when nothing was asked in it for so long, and after a week.
	idle    = 12 * time.Hour
	longest = 7 * 24 * time.Hour
	// mostSessions is how many there are; the one that was idle longest goes.
	mostSessions = 64
)

// sessions are who is logged in. They are in memory alone: a restart of the gateway
// asks everyone again. What is kept of a session's name is a hash, so that whoever
// reads the memory cannot be someone else.
type sessions struct {
	mu  sync.Mutex
	all map[[32]byte]*session // guarded by mu
}

type session struct {
	user, line   string // line is the user's hash: with another one the session ends
	began, asked time.Time
}

// begin makes a session and gives it to a browser.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, user, line string, secure bool) {
	var name [32]byte
	_, _ = rand.Read(name[:]) // it never fails
	text := base64.RawURLEncoding.EncodeToString(name[:])
	now := time.Now()
	s.mu.Lock()
	if s.all == nil {
		s.all = make(map[[32]byte]*session)
	}
	for len(s.all) >= mostSessions {
		s.dropIdlestLocked()
	}
	s.all[sha256.Sum256([]byte(text))] = &session{user, line, now, now}
	s.mu.Unlock()
	give(w, r, text, int(longest/time.Second), secure)
}

func (s *sessions) dropIdlestLocked() {
	var idlest [32]byte
	var asked time.Time
	for name, one := range s.all {
		if asked.IsZero() || one.asked.Before(asked) {
			idlest, asked = name, one.asked
		}
	}
	delete(s.all, idlest)
}

// cookie is what a browser keeps the sessions of a console in. A browser keeps one jar
// for all ports of a host (RFC 6265, section 8.5), so the port that it asked is in the
// name: two gateways on one host do not log one another's visitors out.
func cookie(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
		return "fieldbridge"
	}
	return "fieldbridge-" + port
}

// give sets the cookie: no script reads it, and no page elsewhere makes a browser
// send it.
func give(w http.ResponseWriter, r *http.Request, text string, age int, secure bool) {
	http.SetCookie(w, &http.Cookie{Name: cookie(r), Value: text, MaxAge: age, HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteStrictMode})
}

// user returns whose session a request is of; "" if it is nobody's. users returns
// the hashes of those who may log in now.
func (s *sessions) user(r *http.Request, users func() map[string]string) string {
	c, err := r.Cookie(cookie(r))
	if err != nil {
		return ""
	}
	name, now := sha256.Sum256([]byte(c.Value)), time.Now()
	s.mu.Lock()
	one := s.all[name]
	if one != nil && (now.Sub(one.asked) > idle || now.Sub(one.began) > longest) {
		delete(s.all, name)
		one = nil
	}
	if one != nil {
		one.asked = now
	}
	s.mu.Unlock()
	if one == nil || users()[one.user] != one.line { // the file is read with no lock held
		return ""
	}
	return one.user
}

// end ends the session of a request.
func (s *sessions) end(w http.ResponseWriter, r *http.Request, secure bool) {
	if c, err := r.Cookie(cookie(r)); err == nil {
		s.mu.Lock()
		delete(s.all, sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
	give(w, r, "", -1, secure)
}
