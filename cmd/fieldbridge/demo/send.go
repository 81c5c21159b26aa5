package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/things"
	"fieldbridge/pause"
)

// Order is a command that the stand-in sends to a thing, as an application does
// with AWS.
type Order struct {
	Thing string `json:"thing"`
	// Topic is the gateway's commands.topic; "" is an execution of AWS IoT
	// Commands, which needs no clock of the gateway's.
	Topic   string          `json:"topic,omitempty"`
	Payload json.RawMessage `json:"payload"`
	Wait    time.Duration   `json:"wait"` // how long it may take
}

// Outcome is what became of an order.
type Outcome struct {
	// Status is that of the execution, or the outcome of a command by topic;
	// "" is that nothing was heard.
	Status string          `json:"status"`
	Reason string          `json:"reason,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"` // what was read, or the whole answer by topic
}

// OK reports whether the order was carried out.
func (o Outcome) OK() bool { return o.Status == string(things.Succeeded) || o.Status == "done" }

// orders is where a running stand-in takes them.
const orders control.Page[Order, Outcome] = "/send"

// ErrNoCloud is that no stand-in runs with a folder.
var ErrNoCloud = errors.New("no stand-in for the cloud runs with that folder: start 'fieldbridge cloud', or name its " +
	"folder with --dir (of a demo: its certs)")

// Send has the stand-in that runs with a folder send an order, and waits for what
// becomes of it.
func Send(ctx context.Context, dir string, o Order) (Outcome, error) {
	if _, err := os.Stat(filepath.Join(dir, control.Socket)); err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", dir, ErrNoCloud)
	}
	is, err := orders.Ask(ctx, dir, o)
	if errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("%s: %w", dir, ErrNoCloud)
	}
	return is, err
}

// ParseOrder returns the payload that text means: DEVICE.POINT=VALUE, or JSON as it
// is.
func ParseOrder(text string) (json.RawMessage, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if !json.Valid([]byte(text)) {
			return nil, fmt.Errorf("%s is not JSON", text)
		}
		return json.RawMessage(text), nil
	}
	place, value, ok := strings.Cut(text, "=")
	dot := strings.LastIndex(place, ".")
	if !ok || dot <= 0 || dot == len(place)-1 {
		return nil, fmt.Errorf("%q is no command: write DEVICE.POINT=VALUE, or JSON as docs/payload.md has it", text)
	}
	raw := json.RawMessage(value)
	if !json.Valid(raw) || value == "null" {
		raw = json.RawMessage(strconv.Quote(value))
	}
	return json.Marshal(map[string]any{"device": place[:dot], "point": place[dot+1:], "value": raw})
}

// counter sends orders for a stand-in, and hears the answers.
type counter struct {
	cloud *awsiottest.Cloud

	mu      sync.Mutex
	waiting map[string]chan []byte // guarded by mu; by response topic
}

// serve takes orders in dir until ctx ends.
func (c *counter) serve(ctx context.Context, dir string) error {
	l, err := control.Listen(dir)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	orders.Handle(mux, c.send)
	console.ServeOn(ctx, l, mux)
	return nil
}

// hear notes an answer to a command by topic.
func (c *counter) hear(m awsiottest.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if heard := c.waiting[m.Topic]; heard != nil {
		select {
		case heard <- slices.Clone(m.Payload):
		default:
		}
	}
}

func (c *counter) send(ctx context.Context, o Order) (Outcome, error) {
	if there := c.cloud.Connected(); !slices.Contains(there, o.Thing) {
		if there == nil {
			return Outcome{Reason: o.Thing + " is not connected, and no other thing is"}, nil
		}
		return Outcome{Reason: o.Thing + " is not connected: there are " + strings.Join(there, ", ")}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.Wait+time.Second)
	defer cancel()
	if o.Topic != "" {
		return c.byTopic(ctx, o)
	}
	id := c.cloud.StartExecution(o.Thing, o.Payload, o.Wait)
	for {
		e := c.cloud.Execution(id)
		is := Outcome{Status: string(e.Status), Reason: strings.TrimSpace(e.Code + " " + e.Description)}
		if e.Result != nil {
			is.Answer, _ = json.Marshal(e.Result)
		}
		if e.ByDevice || e.Status == things.TimedOut || !pause.Sleep(ctx, 20*time.Millisecond) {
			return is, nil
		}
	}
}

// byTopic sends an order as a message, with id and time, and waits for the answer on
// a topic of its own.
func (c *counter) byTopic(ctx context.Context, o Order) (Outcome, error) {
	var payload map[string]json.RawMessage
	if err := json.Unmarshal(o.Payload, &payload); err != nil {
		return Outcome{}, err
	}
	now := time.Now()
	id := fmt.Sprintf("desk-%d", now.UnixNano())
	for key, value := range map[string]string{"id": strconv.Quote(id), "at": strconv.FormatInt(now.UnixMilli(), 10)} {
		if payload[key] == nil {
			payload[key] = json.RawMessage(value)
		}
	}
	data, err := json.Marshal(payload)
	if err != nil {
		return Outcome{}, err
	}
	answers, heard := "desk/"+o.Thing+"/"+id, make(chan []byte, 1)
	c.mu.Lock()
	c.waiting[answers] = heard
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, answers)
		c.mu.Unlock()
	}()
	if err := c.cloud.Send(awsiottest.Message{Topic: o.Topic, Payload: data, ContentType: "application/json",
		ResponseTopic: answers}); err != nil {
		return Outcome{}, err
	}
	select {
	case answer := <-heard:
		var said struct {
			Outcome string `json:"outcome"`
			Text    string `json:"text"`
		}
		_ = json.Unmarshal(answer, &said) // it is shown whole, too
		return Outcome{Status: said.Outcome, Reason: said.Text, Answer: answer}, nil
	case <-ctx.Done():
		return Outcome{Reason: "no answer: has the gateway commands.topic: " + o.Topic + "?"}, nil
	}
}
