package remote

import (
	"encoding/json"
	"reflect"
	"sync/atomic"
	"time"

	"fieldbridge/northbound/awsiot/uplink"

	"fieldbridge/northbound/awsiot/payload"
)

// A shadow's desired state is a level: it stays until someone changes it, and is
// told again after each reconnect. A command is an edge. So what is desired is
//
//	"command": {"id":"4711","at":1763887500123,"device":"boiler","point":"setpoint","value":60.5}
//
// and id and time make it an edge again: it is carried out once, and only while
// it is young, like any command. When it has been dealt with, reported.command
// is the same, so that the delta goes away, and reported.command_outcome tells
// what became of its id.
const (
	desiredCommand = "command"
	desiredOutcome = "command_outcome"
	// maxDesired is the most bytes of a command in the shadow: it stands there
	// twice, and all of the shadow must fit in 8 KB.
	maxDesired = 1 << 10
	// maxDesiredResult is the most bytes of what was read that are reported.
	maxDesiredResult = 512
	// deltaPause is the least time between two looks at the shadow because of
	// deltas, whoever makes them.
	deltaPause = time.Second
)

// desired is the side of a reporter that takes commands. The reporter's
// goroutine owns it, but for what is marked.
type desired struct {
	newest   atomic.Int64       // version of the newest delta with a command
	delta    chan struct{}      // receives when newest has grown
	outcomes chan desiredResult // from the commander

	asked   any            // the command under way
	dealt   any            // the command that was dealt with last
	outcome map[string]any // what became of it
	size    int            // bytes of the desired state
}

// desiredResult is what became of a command.
type desiredResult struct {
	command any
	answer  Answer
}

func newDesired() desired {
	return desired{delta: make(chan struct{}, 1), outcomes: make(chan desiredResult, waitingCommands)}
}

// noteDelta takes a delta. It may tell a part of the command only, so it is but
// a reason to look at the shadow.
func (d *desired) noteDelta(p uplink.Inbound) {
	var delta struct {
		State   map[string]json.RawMessage `json:"state"`
		Version int64                      `json:"version"`
	}
	if json.Unmarshal(p.Payload, &delta) != nil || delta.State[desiredCommand] == nil {
		return
	}
	for {
		have := d.newest.Load()
		if delta.Version <= have {
			return
		}
		if d.newest.CompareAndSwap(have, delta.Version) {
			break
		}
	}
	select {
	case d.delta <- struct{}{}:
	default:
	}
}

// consider looks at what is desired and has it carried out if it is new.
func (r *reporter) consider(wanted map[string]any) {
	d := &r.desired
	d.size = len(payload.Encode(wanted))
	command := wanted[desiredCommand]
	outcome, _ := r.reported[desiredOutcome].(map[string]any)
	switch {
	case command == nil:
		d.asked, d.dealt, d.outcome = nil, nil, nil
	case reflect.DeepEqual(command, d.dealt), reflect.DeepEqual(command, d.asked):
	case outcome != nil && reflect.DeepEqual(command, r.reported[desiredCommand]):
		d.dealt, d.outcome = command, outcome // by an earlier connection or process
	default:
		r.command(command)
	}
}

// command hands a command to the commander.
func (r *reporter) command(command any) {
	d := &r.desired
	text := payload.Encode(command)
	if len(text) > maxDesired {
		object, _ := command.(map[string]any)
		id, _ := object["id"].(string)
		d.asked, d.dealt = command, nil // it cannot be told back: its delta stays
		d.outcome = asJSON(desiredAnswer{ID: id, Outcome: outcomeRefused,
			Text: "a command in the shadow has 1024 bytes at most"})
		return
	}
	outcomes := d.outcomes
	taken := r.commander.offer(request{by: viaShadow, payload: text, maxAge: r.conn.Access.Commands.MaxAge.D(),
		reply: func(a Answer) {
			select {
			case outcomes <- desiredResult{command, a}:
			default: // the connection has ended; the next asks again, and is told
			}
		}})
	if taken {
		d.asked = command
	}
}

// desiredAnswer is what is reported of a command.
type desiredAnswer struct {
	ID      string                     `json:"id"`
	Outcome outcome                    `json:"outcome"`
	Text    string                     `json:"text,omitempty"`
	At      int64                      `json:"at,omitempty"` // epoch milliseconds
	Points  map[string]json.RawMessage `json:"points,omitempty"`
	Bad     map[string]string          `json:"bad,omitempty"`
}

// dealtWith takes in what became of a command.
func (d *desired) dealtWith(result desiredResult) {
	a := desiredAnswer{ID: result.answer.ID, Outcome: result.answer.Outcome, Text: result.answer.Text,
		At:     time.Now().UnixMilli(),
		Points: result.answer.Points, Bad: result.answer.Bad}
	if len(payload.Encode(a.Points))+len(payload.Encode(a.Bad)) > maxDesiredResult {
		a.Points, a.Bad, a.Text = nil, nil, "too much to list here: see its readings"
	}
	if text := []rune(a.Text); len(text) > 2*rememberedText {
		a.Text = string(text[:2*rememberedText])
	}
	d.dealt, d.outcome = result.command, asJSON(a)
}

// room returns the most bytes that the rest of the report may take.
func (d *desired) room() int {
	room := maxShadow - d.size
	if d.dealt != nil {
		room -= len(payload.Encode(d.dealt))
	}
	if d.outcome != nil {
		room -= len(payload.Encode(d.outcome))
	}
	return room
}

// report adds what the shadow says of commands to what it is to say.
func (d *desired) report(want map[string]any) {
	if d.dealt != nil {
		want[desiredCommand] = d.dealt
	}
	if d.outcome != nil {
		want[desiredOutcome] = d.outcome
	}
}

// asJSON returns v as JSON is read here, with numbers as they are written.
func asJSON(v any) map[string]any {
	var plain map[string]any
	if err := exactly(payload.Encode(v), &plain); err != nil {
		panic(err) // it was made here
	}
	return plain
}
