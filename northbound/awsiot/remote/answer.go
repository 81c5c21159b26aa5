package remote

import (
	"encoding/json"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// outcome is what became of a command.
type outcome string

// The outcomes.
const (
	outcomeDone    outcome = "done"    // written and read back, or read, or taken over
	outcomeRefused outcome = "refused" // not carried out, and never will be
	outcomeExpired outcome = "expired" // too old, or from a clock that is not ours
	outcomeFailed  outcome = "failed"  // tried; a write may or may not have reached the device
	outcomeUnknown outcome = "unknown" // begun by an earlier process, which did not get to the end
	// Written, and nothing was to be read back, or it did not show in time.
	outcomeUnconfirmed outcome = "unconfirmed"
)

var outcomes = [...]outcome{outcomeDone, outcomeRefused, outcomeExpired, outcomeFailed, outcomeUnconfirmed,
	outcomeUnknown}

// Answer is what is told about a command.
type Answer struct {
	payload.Header
	ID      string  `json:"id"`
	Outcome outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"`
	asked   int     // questions of its execution that are not answered yet
	Enough  bool    `json:"-"`               // unconfirmed, and the configuration asks for no more
	Again   bool    `json:"again,omitempty"` // the command had come before; then what was read is not told
	// Points are the good readings of a read.
	Points map[string]json.RawMessage `json:"points,omitempty"`
	// Bad are the reasons of its bad ones.
	Bad map[string]string `json:"bad,omitempty"`
}

// maxAnswered is how many bytes of what was read an answer may list.
const maxAnswered = 64 << 10

// list puts what was read in the answer, unless it is too much for one.
func (a *Answer) list(readings []bridge.Reading) {
	points, bad := make(map[string]json.RawMessage), make(map[string]string)
	size := 0
	for _, r := range readings {
		size += len(r.Point) + 6
		if r.Value.Good() {
			text := payload.AppendValue(nil, r.Value)
			points[r.Point], size = text, size+len(text)
		} else {
			bad[r.Point] = r.Value.Reason().String()
			size += len(bad[r.Point])
		}
	}
	if size > maxAnswered {
		a.Text = "too much to list here: see its readings"
		return
	}
	a.Points, a.Bad = points, bad
}

// answerable reports whether a response topic may be published to. AWS would
// end the connection for one that is reserved, and all commands are only as
// careful as who gives them.
func answerable(topic string) bool {
	return topic != "" && topic[0] != '$' && len(topic) <= payload.MaxTopic &&
		strings.Count(topic, "/") <= payload.MaxSlashes &&
		!strings.ContainsAny(topic, "+#\x00")
}
