package identity

import (
	"fmt"
	"strings"
	"unicode"
)

// State is the outcome of a step.
type State string

// The states of steps.
const (
	OK         State = "ok"
	Warning    State = "warning"     // it works, but not for ever or not by intention
	Failed     State = "failed"      // someone must act
	Skipped    State = "skipped"     // left out on purpose; Text says why
	NotReached State = "not reached" // an earlier step failed
)

// The names of the steps, in their order.
const (
	Files              = "files"               // certificate, key and CA on our disk
	Address            = "address"             // name and TCP
	ClientHello        = "client hello"        // what we offered
	ServerHello        = "server hello"        // what the server chose
	ServerCertificate  = "server certificate"  // who the server is and who vouches for it
	CertificateRequest = "certificate request" // the server wants to know who we are
	OwnCertificate     = "own certificate"     // we told
	CertificateVerify  = "certificate verify"  // both have shown that they have their keys
	Finished           = "finished"            // the handshake is complete and the server keeps the connection
	Clock              = "clock"               // whether the time here can be right
	Connect            = "mqtt connect"        // CONNECT, CONNACK and DISCONNECT
)

var stepNames = [...]string{Files, Address, ClientHello, ServerHello, ServerCertificate, CertificateRequest,
	OwnCertificate, CertificateVerify, Finished, Clock, Connect}

// Fact is something that was seen. Keys may repeat.
type Fact struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Step is one step of the connection.
type Step struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Facts []Fact `json:"facts,omitempty"`
	Text  string `json:"text,omitempty"` // what is wrong, or why it was left out
	Fix   string `json:"fix,omitempty"`  // what to do about it
}

// Report is what [Check] saw.
type Report struct {
	Endpoint   string `json:"endpoint"`
	Client     string `json:"client_id"`
	OK         bool   `json:"ok"` // no step failed
	Steps      []Step `json:"steps"`
	Conclusion string `json:"conclusion"` // all of it in one sentence
}

// Step returns the step of that name, nil if there is none.
func (r *Report) Step(name string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	return nil
}

// fact notes what was seen; an empty value is nothing.
func (s *Step) fact(key, format string, args ...any) {
	if value := printable(fmt.Sprintf(format, args...)); value != "" {
		s.Facts = append(s.Facts, Fact{Key: key, Value: value})
	}
}

// reached makes a step one that was made. It keeps what is wrong with it.
func (s *Step) reached() {
	if s.State == NotReached {
		s.State = OK
	}
}

// warn says that a step is not as it should be. The first text counts, unless
// the step fails.
func (s *Step) warn(text, fix string) {
	if s.State == NotReached || s.State == OK {
		s.State, s.Text, s.Fix = Warning, printable(text), printable(fix)
	}
}

// fail says why a step failed.
func (s *Step) fail(text, fix string) {
	s.State, s.Text, s.Fix = Failed, printable(text), printable(fix)
}

// skip says why a step is left out.
func (s *Step) skip(text, fix string) {
	s.State, s.Text, s.Fix = Skipped, printable(text), printable(fix)
}

// printable replaces what could play tricks on a terminal: names in certificates
// and reasons are the server's words.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
