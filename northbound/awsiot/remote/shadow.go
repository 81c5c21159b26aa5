package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
)

const (
	// maxShadow is what we report at most; AWS takes 8 KB, metadata not counted.
	maxShadow = 7 << 10
	// shadowAnswer is how long an answer of the service may take.
	shadowAnswer = 10 * time.Second
	// shadowRetry is the first pause after a request that failed; it doubles, up
	// to shadow.every.
	shadowRetry = 5 * time.Second
)

// reporter reports the gateway's health into a named shadow: only what has
// changed, one request at a time.
type reporter struct {
	commander *Commander
	conn      *Connection
	prefix    string // of the shadow's topics, with the slash
	answers   chan shadowAnswered

	known    bool           // reported and version are the service's
	reported map[string]any // as the service has it
	version  int64
	token    int

	desired desired
}

// shadowAnswered is an answer of the service.
type shadowAnswered struct {
	accepted bool
	body     struct {
		State struct {
			Desired  map[string]any `json:"desired"`
			Reported map[string]any `json:"reported"`
		} `json:"state"`
		Version int64  `json:"version"`
		Token   string `json:"clientToken"`
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
}

func newReporter(c *Commander, conn *Connection) *reporter {
	return &reporter{commander: c, conn: conn, answers: make(chan shadowAnswered, 10), desired: newDesired(),
		prefix: "$aws/things/" + c.o.Gateway + "/shadow/name/" + conn.Access.Shadow.Name + "/"}
}

// open subscribes to the answers.
func (r *reporter) open(ctx context.Context) error {
	var topics []string
	for _, action := range []string{"get", "update"} {
		for _, outcome := range []string{"accepted", "rejected"} {
			topic := r.prefix + action + "/" + outcome
			topics = append(topics, topic)
			r.conn.Handle(topic, func(p uplink.Inbound) {
				a := shadowAnswered{accepted: outcome == "accepted"}
				if exactly(p.Payload, &a.body) != nil || !strings.HasPrefix(a.body.Token, r.tokens()) {
					return // others use the shadow, too
				}
				select {
				case r.answers <- a:
				default: // nobody waits for so many
				}
			})
		}
	}
	if r.conn.Access.Commands.Desired {
		topics = append(topics, r.prefix+"update/delta")
		r.conn.Handle(r.prefix+"update/delta", r.desired.noteDelta)
	}
	return r.conn.Subscribe(ctx, topics...)
}

// exactly reads JSON with numbers as they are written.
func exactly(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return decoder.Decode(v)
}

// run reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(r.conn.Access.Shadow.Every.D())
	defer tick.Stop()
	var wait time.Duration // before the next try; 0 is that the last was well
	var pause *time.Timer  // deltas are looked at when it is over
	for ctx.Err() == nil {
		var retry <-chan time.Time
		if err := r.report(ctx); err != nil && ctx.Err() == nil {
			r.known = false
			if wait == 0 {
				r.commander.o.Log.Warn("the shadow cannot be reported", "shadow", r.conn.Access.Shadow.Name, "err", err)
			}
			wait = min(max(2*wait, shadowRetry), r.conn.Access.Shadow.Every.D())
			retry = time.After(wait)
		} else {
			wait = 0
		}
		delta, over := r.desired.delta, (<-chan time.Time)(nil)
		if pause != nil {
			delta, over = nil, pause.C
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-retry:
		case result := <-r.desired.outcomes:
			r.desired.dealtWith(result)
		case <-over:
			pause = nil
		case <-delta:
			if r.desired.newest.Load() > r.version {
				r.known = false
			}
			pause = time.NewTimer(deltaPause)
		}
	}
}

// report brings the shadow up to date.
func (r *reporter) report(ctx context.Context) error {
	for range 3 { // others may change the shadow meanwhile
		if !r.known {
			if err := r.get(ctx); err != nil {
				return err
			}
		}
		want, err := shorten(r.commander.o.Report(), r.desired.room())
		if err != nil {
			return err
		}
		r.desired.report(want)
		change := shadowChange(r.reported, want)
		if len(change) == 0 {
			return nil
		}
		conflict, err := r.update(ctx, change, want)
		if !conflict {
			return err
		}
		r.known = false
	}
	return errors.New("it changes too fast")
}

// get asks for the shadow. One that does not exist is empty.
func (r *reporter) get(ctx context.Context) error {
	a, err := r.ask(ctx, "get", map[string]any{})
	switch {
	case err != nil:
		return err
	case a.accepted:
		r.reported, r.version, r.known = a.body.State.Reported, a.body.Version, true
		if r.conn.Access.Commands.Desired {
			r.consider(a.body.State.Desired)
		} else {
			r.desired.size = len(payload.Encode(a.body.State.Desired))
		}
	case a.body.Code == 404:
		r.reported, r.version, r.known = nil, 0, true
		r.consider(nil)
	default:
		return fmt.Errorf("get: %d %s", a.body.Code, a.body.Message)
	}
	return nil
}

// update sends a change. It reports a conflict when someone else was faster.
func (r *reporter) update(ctx context.Context, change, want map[string]any) (conflict bool, err error) {
	request := map[string]any{"state": map[string]any{"reported": change}}
	if r.version > 0 {
		request["version"] = r.version
	}
	a, err := r.ask(ctx, "update", request)
	switch {
	case err != nil:
		return false, err
	case a.accepted:
		r.reported, r.version = want, a.body.Version
		return false, nil
	case a.body.Code == 409:
		return true, nil
	}
	return false, fmt.Errorf("update: %d %s", a.body.Code, a.body.Message)
}

// tokens returns the beginning of our client tokens.
func (r *reporter) tokens() string { return r.commander.o.Run + "-" }

// ask sends a request and waits for its answer.
func (r *reporter) ask(ctx context.Context, action string, body map[string]any) (shadowAnswered, error) {
	r.token++
	token := fmt.Sprintf("%s%d", r.tokens(), r.token)
	body["clientToken"] = token
	outcome := make(chan error, 1)
	m := bridge.Message{Topic: r.prefix + action, Payload: payload.Encode(body)}
	r.conn.Send(&m, nil, func(err error) { outcome <- err })
	if err := <-outcome; err != nil {
		return shadowAnswered{}, err
	}
	timeout := time.NewTimer(shadowAnswer)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return shadowAnswered{}, ctx.Err()
		case <-timeout.C:
			return shadowAnswered{}, fmt.Errorf("%s: no answer in %v", action, shadowAnswer)
		case a := <-r.answers:
			if a.body.Token == token {
				return a, nil
			}
		}
	}
}

// shadowChange returns what must be told so that have becomes want: null for
// what is gone.
func shadowChange(have, want map[string]any) map[string]any {
	change := make(map[string]any)
	for key, w := range want {
		h, known := have[key]
		wantObject, isObject := w.(map[string]any)
		haveObject, wasObject := h.(map[string]any)
		switch {
		case known && isObject && wasObject:
			if inner := shadowChange(haveObject, wantObject); len(inner) > 0 {
				change[key] = inner
			}
		case !known || !reflect.DeepEqual(h, w):
			change[key] = w
		}
	}
	for key := range have {
		if _, still := want[key]; !still {
			change[key] = nil
		}
	}
	return change
}
