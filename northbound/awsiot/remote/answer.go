package remote

import (
	"encoding/json"
	"strings"
	"time"

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
)

var outcomes = [...]outcome{outcomeDone, outcomeRefused, outcomeExpired, outcomeFailed, outcomeUnknown}

// Answer is what is told about a command.
type Answer struct {
	payload.Header
	ID      string  `json:"id"`
	Outcome outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"`
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

// respond returns what publishes the answer to a request from a topic, to its
// response topic or else to the status topic, if there is a connection. Without
// one the asker will ask again, and is told then.
func (c *Commander) respond(response string, correlation []byte) func(Answer) {
	return func(a Answer) {
		conn := c.now.Load()
		if conn == nil {
			return
		}
		a.Header = payload.Header{V: 1, Gateway: c.o.Gateway, Run: c.o.Run, Type: "command", At: time.Now().UnixMilli()}
		topic := response
		if !answerable(topic) {
			topic = conn.StatusTopic
		}
		m := bridge.Message{Topic: topic, Payload: payload.Encode(a), ContentType: payload.ContentType}
		conn.Send(&m, correlation, func(err error) {
			if err != nil {
				c.o.Log.Warn("the answer to a command is not taken", "id", a.ID, "topic", topic, "err", err)
			}
		})
	}
}

// AuditDevice is the device whose readings are the commands that were begun, or
// refused for good.
const AuditDevice = "commands"

// maxAudited is the most bytes of each text in a record: what somebody sends must
// not become a reading that fits in no message.
const maxAudited = 200

// audit leaves a record of a command among the readings.
func (c *Commander) audit(cmd command, by way, a Answer) {
	c.o.Log.Info("command", "id", cmd.ID, "via", by, "action", cmd.Action, "device", cmd.Device, "point", cmd.Point,
		"value", string(cmd.Value),
		"every", time.Duration(cmd.Every), "for", time.Duration(cmd.For), "outcome", a.Outcome, "text", a.Text)
	if c.o.Emit == nil {
		return
	}
	var readings []bridge.Reading
	add := func(point, text string) {
		if len(text) > maxAudited {
			text = strings.ToValidUTF8(text[:maxAudited], "") + "..."
		}
		readings = append(readings, bridge.Reading{Point: point, Value: bridge.String(text)})
	}
	add("id", cmd.ID)
	add("via", string(by))
	add("action", string(cmd.Action))
	if cmd.Device != "" {
		add("device", cmd.Device)
	}
	switch cmd.Action {
	case actionWrite:
		add("point", cmd.Point)
		add("value", string(cmd.Value))
	case actionRead:
		if len(cmd.Points) > 0 {
			add("points", strings.Join(cmd.Points, " "))
		}
	case actionInterval:
		add("every", time.Duration(cmd.Every).String())
		add("for", time.Duration(cmd.For).String())
	}
	add("outcome", string(a.Outcome))
	if a.Text != "" {
		add("text", a.Text)
	}
	c.o.Emit(bridge.Batch{Device: AuditDevice, At: time.Now(), Readings: readings}, nil)
}
