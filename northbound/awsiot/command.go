package awsiot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fieldbridge/bridge"
)

// command is what the commands topic carries:
//
//	{"id":"4711","at":1763887500123,"device":"boiler","point":"setpoint","value":60.5}
//	{"id":"4712","at":1763887500123,"action":"rebirth"}
type command struct {
	ID     string          `json:"id"`     // names it for ever: it is carried out once
	At     int64           `json:"at"`     // when it was given, in epoch milliseconds
	Action string          `json:"action"` // write (default) or rebirth
	Device string          `json:"device"`
	Point  string          `json:"point"`
	Value  json.RawMessage `json:"value"`
}

// outcome is what became of a command.
type outcome string

// The outcomes.
const (
	outcomeDone    outcome = "done"    // the device has the value: it was read back
	outcomeRefused outcome = "refused" // not carried out, and never will be
	outcomeExpired outcome = "expired" // too old, or from a clock that is not ours
	outcomeFailed  outcome = "failed"  // tried; the device may or may not have the value
	outcomeUnknown outcome = "unknown" // begun by an earlier process, which did not get to the end
)

// answer is what is told about a command.
type answer struct {
	header
	ID      string  `json:"id"`
	Outcome outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"`
	Again   bool    `json:"again,omitempty"` // the command had come before
}

const (
	maxCommand     = 8 << 10 // bytes of payload
	maxCommandID   = 64      // bytes
	commandTimeout = 30 * time.Second
	// waitingCommands are taken while one is carried out.
	waitingCommands = 20
	// rememberedCommands bounds the memory of ids; it must fit in a
	// [bridge.State].
	rememberedCommands = 300
	// rememberFor is the least time an id is remembered. AWS sends a message
	// again for up to an hour.
	rememberFor = 2 * time.Hour
	commandsKey = "awsiot.commands"
)

// request is a command as it came.
type request struct {
	payload     []byte
	maxAge      time.Duration
	response    string // topic; "" is the status topic
	correlation []byte
}

// commander carries out commands, one at a time, each once.
type commander struct {
	sink     *Sink
	requests chan request
	done     map[string]finished
	loaded   bool
}

// finished is a command that was begun.
type finished struct {
	Until   int64   `json:"until"` // epoch milliseconds
	Outcome outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"`
}

func newCommander(s *Sink) *commander {
	return &commander{sink: s, requests: make(chan request, waitingCommands), done: make(map[string]finished)}
}

// offer takes a request without waiting.
func (c *commander) offer(r request) {
	select {
	case c.requests <- r:
	default:
		c.sink.log.Warn("command dropped: too many are waiting", "waiting", waitingCommands)
	}
}

// run carries out commands until ctx ends.
func (c *commander) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.requests:
			c.answer(r, c.carryOut(ctx, r))
		}
	}
}

// carryOut decides about a request and does what it asks for.
func (c *commander) carryOut(ctx context.Context, r request) answer {
	cmd, err := parseCommand(r.payload)
	a := answer{ID: cmd.ID}
	refuse := func(o outcome, text string) answer {
		a.Outcome, a.Text = o, text
		return a
	}
	if err != nil {
		return refuse(outcomeRefused, err.Error())
	}
	if err := c.load(); err != nil {
		return refuse(outcomeRefused, "the memory of commands cannot be read: "+err.Error())
	}
	if f, ok := c.done[cmd.ID]; ok {
		a.Again = true
		return refuse(f.Outcome, f.Text)
	}
	if age := time.Since(time.UnixMilli(cmd.At)); age > r.maxAge || age < -r.maxAge {
		return refuse(outcomeExpired, fmt.Sprintf("the command is %v old, %v are allowed; or the clocks differ", age.Round(time.Millisecond), r.maxAge))
	}
	// The id is on disk before anything happens: whatever becomes of this
	// process, the command is not carried out a second time.
	if err := c.remember(cmd.ID, finished{Until: time.Now().Add(max(rememberFor, 2*r.maxAge)).UnixMilli(), Outcome: outcomeUnknown}); err != nil {
		return refuse(outcomeRefused, err.Error())
	}
	a.Outcome, a.Text = c.execute(ctx, cmd)
	f := c.done[cmd.ID]
	f.Outcome, f.Text = a.Outcome, a.Text
	if err := c.remember(cmd.ID, f); err != nil {
		c.sink.log.Warn("the outcome of a command is not saved", "id", cmd.ID, "err", err)
	}
	c.audit(cmd, a)
	return a
}

// parseCommand reads a command. The id is returned as far as it could be read.
func parseCommand(payload []byte) (command, error) {
	var cmd command
	if len(payload) > maxCommand {
		return cmd, fmt.Errorf("a command of %d bytes: %d are allowed", len(payload), maxCommand)
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&cmd); err != nil {
		return cmd, fmt.Errorf("not a command: %w", err)
	}
	if cmd.ID == "" || len(cmd.ID) > maxCommandID || !printable(cmd.ID) {
		return command{}, fmt.Errorf("a command needs an id of 1 to %d printable characters", maxCommandID)
	}
	if cmd.At == 0 {
		return cmd, errors.New("a command needs at, its time in epoch milliseconds")
	}
	switch cmd.Action {
	case "", "write":
		if cmd.Device == "" || cmd.Point == "" || len(cmd.Value) == 0 {
			return cmd, errors.New("write needs device, point and value")
		}
	case "rebirth":
	default:
		return cmd, fmt.Errorf("action %q is not known: write and rebirth are", cmd.Action)
	}
	return cmd, nil
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// commandValue returns the value of a JSON text; integers stay exact.
func commandValue(raw json.RawMessage) (bridge.Value, error) {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return bridge.Value{}, err
	}
	switch v := v.(type) {
	case bool:
		return bridge.Bool(v), nil
	case string:
		return bridge.String(v), nil
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return bridge.Int(i), nil
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return bridge.Uint(u), nil
		}
		if f, err := strconv.ParseFloat(v.String(), 64); err == nil && !math.IsInf(f, 0) {
			return bridge.Float64(f), nil
		}
	}
	return bridge.Value{}, fmt.Errorf("%s is no number, bool or text", raw)
}

func (c *commander) execute(ctx context.Context, cmd command) (outcome, string) {
	if cmd.Action == "rebirth" {
		c.sink.rebirth()
		return outcomeDone, ""
	}
	if c.sink.options.Writer == nil {
		return outcomeRefused, "this gateway has nothing to write to"
	}
	v, err := commandValue(cmd.Value)
	if err != nil {
		return outcomeRefused, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	switch err := c.sink.options.Writer.Write(ctx, bridge.Command{Device: cmd.Device, Point: cmd.Point, Value: v}); {
	case err == nil:
		return outcomeDone, ""
	case bridge.IsPermanent(err):
		return outcomeRefused, err.Error()
	default:
		return outcomeFailed, err.Error()
	}
}

// load reads what earlier processes have begun.
func (c *commander) load() error {
	if c.loaded || c.sink.options.State == nil {
		return nil
	}
	data, err := c.sink.options.State.Get(commandsKey)
	if err != nil {
		return err
	}
	if data != nil {
		if err := json.Unmarshal(data, &c.done); err != nil {
			return err
		}
	}
	c.loaded = true
	return nil
}

// remember saves what is known of a command, and forgets what is old.
func (c *commander) remember(id string, f finished) error {
	now := time.Now().UnixMilli()
	for other, o := range c.done {
		if o.Until < now {
			delete(c.done, other)
		}
	}
	if _, known := c.done[id]; !known && len(c.done) >= rememberedCommands {
		return fmt.Errorf("%d commands came within %v: no more are taken", len(c.done), rememberFor)
	}
	if len(f.Text) > 100 {
		f.Text = f.Text[:100]
	}
	before, known := c.done[id]
	c.done[id] = f
	if c.sink.options.State == nil {
		return nil
	}
	data, err := json.Marshal(c.done)
	if err == nil {
		err = c.sink.options.State.Put(commandsKey, data)
	}
	if err != nil {
		if delete(c.done, id); known {
			c.done[id] = before
		}
		return fmt.Errorf("the id cannot be saved: %w", err)
	}
	return nil
}

// audit leaves a record of a command that was begun among the readings.
func (c *commander) audit(cmd command, a answer) {
	c.sink.log.Info("command", "id", cmd.ID, "device", cmd.Device, "point", cmd.Point, "value", string(cmd.Value), "outcome", a.Outcome, "text", a.Text)
	if c.sink.options.Emit == nil {
		return
	}
	readings := []bridge.Reading{{Point: "id", Value: bridge.String(cmd.ID)}, {Point: "action", Value: bridge.String(cmd.Action)}}
	if cmd.Action != "rebirth" {
		readings[1].Value = bridge.String("write")
		readings = append(readings, bridge.Reading{Point: "device", Value: bridge.String(cmd.Device)},
			bridge.Reading{Point: "point", Value: bridge.String(cmd.Point)}, bridge.Reading{Point: "value", Value: bridge.String(string(cmd.Value))})
	}
	readings = append(readings, bridge.Reading{Point: "outcome", Value: bridge.String(string(a.Outcome))})
	c.sink.options.Emit(bridge.Batch{Device: AuditDevice, At: time.Now(), Readings: readings}, nil)
}

// answerable reports whether a response topic may be published to. AWS would
// end the connection for one that is reserved, and all commands are only as
// careful as who gives them.
func answerable(topic string) bool {
	return topic != "" && topic[0] != '$' && len(topic) <= maxTopic && strings.Count(topic, "/") <= maxSlashes &&
		!strings.ContainsAny(topic, "+#\x00")
}

// AuditDevice is the device whose readings are the commands that were begun.
const AuditDevice = "commands"

// answer tells what became of a request, if there is a connection. Without one
// the asker will ask again, and is told then.
func (c *commander) answer(r request, a answer) {
	s := c.sink
	session, status := s.connection()
	if session == nil {
		return
	}
	a.header = status.header("command")
	topic := r.response
	if !answerable(topic) {
		topic = status.topic
	}
	session.reply(topic, encode(a), r.correlation, func(code byte, err error) {
		if err == nil {
			err = pubackError(topic, code)
		}
		if err != nil {
			s.log.Warn("the answer to a command is not taken", "id", a.ID, "topic", topic, "err", err)
		}
	})
}
