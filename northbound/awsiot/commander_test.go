package awsiot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/remote"
)

func TestReadAndInterval(t *testing.T) {
	field := &fakeReader{readings: []bridge.Reading{{Point: "a", Value: bridge.Uint(18446744073709551615)},
		{Point: "b", Value: bridge.Bad(bridge.ReasonTimeout)},
		{Point: "c", Value: bridge.String("x\"y")}}}
	commanded(t, nil, func(o *Options) { o.Reader, o.Pacer = field, field }, func(r *rig, audit func() []bridge.Batch) {
		many := make([]bridge.Reading, 5000)
		for i := range many {
			many[i] = bridge.Reading{Point: fmt.Sprintf("point_%d", i), Value: bridge.Int(int64(i))}
		}
		for i, tt := range []struct {
			rest     string
			readings []bridge.Reading
			err      error
			want     map[string]any
			asked    string
		}{
			{`,"action":"read","device":"d","points":["a","b","c"]`, field.readings, nil,
				map[string]any{"outcome": "done", "points": map[string]any{"a": 18446744073709551615.0, "c": `x"y`},
					"bad": map[string]any{"b": "timeout"}}, "d[a b c]"},
			{`,"action":"read","device":"d"`, field.readings[1:2], nil,
				map[string]any{"outcome": "failed", "text": "nothing could be read", "bad": map[string]any{"b": "timeout"}}, "d[]"},
			{`,"action":"read","device":"d"`, many, nil, map[string]any{"outcome": "done",
				"text": "too much to list here: see its readings"}, "d[]"},
			{`,"action":"read","device":"s"`, nil, bridge.Permanent(errors.New("a sensor speaks by itself")),
				map[string]any{"outcome": "refused", "text": "a sensor speaks by itself"}, "s[]"},
			{`,"action":"interval","device":"d","every":"200ms","for":"10m"`, nil, nil, map[string]any{"outcome": "done"},
				"d 200ms 10m0s"},
			{`,"action":"interval","device":"d"`, nil, nil, map[string]any{"outcome": "done"}, "d 0s 0s"},
			{`,"action":"interval","device":"d","every":"5s","for":0`, nil, nil, map[string]any{"outcome": "done"}, "d 0s 0s"},
			{`,"action":"interval","device":"d","every":"1d","for":"1d"`, nil, errors.New("the bus was stopped"),
				map[string]any{"outcome": "failed", "text": "the bus was stopped"}, "d 24h0m0s 24h0m0s"},
			{`,"action":"interval","device":"d","every":5`, nil, nil, map[string]any{"outcome": "refused",
				"text": `not a command: 5 is not a length of time: write it as "200ms" or "10m"`}, ""},
			{`,"action":"interval"`, nil, nil, map[string]any{"outcome": "refused",
				"text": "interval needs device, and every and for unless it is to be the usual again"}, ""},
			{`,"action":"write","device":"d","point":"p","value":1`, nil, nil, map[string]any{"outcome": "refused",
				"text": "this gateway has nothing that takes write"}, ""},
		} {
			field.readings, field.err, field.asked = tt.readings, tt.err, nil
			id := fmt.Sprint(i)
			answers := r.give(commandNow(id, tt.rest))
			if len(answers) != 1 {
				t.Fatalf("%s: answers %v", tt.rest, answers)
			}
			for key, v := range map[string]any{"v": 1.0, "gateway": "gateway-1", "run": "run-1", "type": "command", "id": id,
				"at": answers[0]["at"]} {
				tt.want[key] = v
			}
			if diff := cmp.Diff(tt.want, answers[0]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.rest, diff)
			}
			if got := strings.Join(field.asked, ","); got != tt.asked {
				t.Errorf("%s: asked %q, want %q", tt.rest, got, tt.asked)
			}
		}
		if again := r.give(commandNow("0", `,"action":"read","device":"d"`)); again[0]["again"] != true ||
			again[0]["points"] != nil {
			t.Errorf("the same read again: %v", again)
		}
		r.give(commandNow("long", `,"device":"`+strings.Repeat("d", 300)+`","point":"p","value":"`+strings.Repeat("ä",
			3000)+`"`))
		records := make(map[string]string)
		for _, b := range audit() {
			text := ""
			for _, reading := range b.Readings[1:] {
				if n := len(reading.Value.Str()); n > 200+3 {
					t.Errorf("%s has %d bytes", reading.Point, n)
				}
				text += " " + reading.Point + "=" + reading.Value.Str()
			}
			records[b.Readings[0].Value.Str()] = text
		}
		if want := " via=topic action=read device=d points=a b c outcome=done"; records["0"] != want {
			t.Errorf("audit %s, want %s", records["0"], want)
		}
		if records["4"] != " via=topic action=interval device=d every=200ms for=10m0s outcome=done" ||
			records["3"] != " via=topic action=read device=s outcome=refused text=a sensor speaks by itself" {
			t.Errorf("audit %v", records)
		}
	})
}

// TestExpires: a command's own expiry counts, and can only shorten max_age.
func TestExpires(t *testing.T) {
	w := &fakeWriter{}
	commanded(t, w, nil, func(r *rig, _ func() []bridge.Batch) {
		for i, tt := range []struct {
			at, expires int64
			want        string
		}{{0, 5000, "done"}, {0, 0, "done"}, {0, -1, "expired"}, {-60_000, 3600_000, "expired"},
			{60_000, 90_000, "expired"}} {
			now := time.Now().UnixMilli()
			text := fmt.Sprintf(`{"id":"%d","at":%d%s`, i, now+tt.at, setSetpoint)
			if tt.expires != 0 {
				text += fmt.Sprintf(`,"expires":%d`, now+tt.expires)
			}
			if got := r.give(text + "}"); len(got) != 1 || got[0]["outcome"] != tt.want {
				t.Errorf("at %d, expires %d: %v, want %s", tt.at, tt.expires, got, tt.want)
			}
		}
		if w.count() != 2 {
			t.Errorf("%d writes", w.count())
		}
	})
}

// TestCommandsWithAWrongClock: what cannot be judged is not carried out if it
// changes anything, and never will be.
func TestCommandsWithAWrongClock(t *testing.T) {
	w, field := &fakeWriter{}, &fakeReader{readings: []bridge.Reading{{Point: "a", Value: bridge.Int(1)}}}
	synced := false
	commanded(t, w, func(o *Options) {
		o.Reader, o.Pacer, o.Synced = field, field, func() bool { return synced }
	}, func(r *rig, audit func() []bridge.Batch) {
		write := commandNow("1", setSetpoint)
		if got := r.give(write); got[0]["outcome"] != "refused" || !strings.Contains(fmt.Sprint(got[0]["text"]),
			"clock is not known to be right") {
			t.Errorf("write: %v", got)
		}
		interval := commandNow("2", `,"action":"interval","device":"d","every":"1s","for":"1m"`)
		if got := r.give(interval); got[0]["outcome"] != "refused" {
			t.Errorf("interval: %v", got)
		}
		if got := r.give(`{"id":"3","at":1,"action":"read","device":"d"}`); got[0]["outcome"] != "done" {
			t.Errorf("a read does no harm, however old: %v", got)
		}
		synced = true
		if got := r.give(write); got[0]["outcome"] != "refused" || got[0]["again"] != true || w.count() != 0 {
			t.Errorf("the same with a right clock: %v", got)
		}
		if got := r.give(commandNow("4", setSetpoint)); got[0]["outcome"] != "done" || w.count() != 1 {
			t.Errorf("another with a right clock: %v", got)
		}
		if n := len(audit()); n != 4 {
			t.Errorf("%d audit records", n)
		}
	})
}

// TestSwitch: off on the machine is off for all, over restarts, until it is on.
func TestSwitch(t *testing.T) {
	w := &fakeWriter{wait: 10 * time.Second}
	commanded(t, w, nil, func(r *rig, audit func() []bridge.Batch) {
		// One that was begun is waited for.
		under := commandNow("1", setSetpoint)
		if err := r.cloud.Send(awsiottest.Message{Topic: commandTopic, Payload: []byte(under)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		begin := time.Now()
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.sink.SwitchCommands(short, true); !errors.Is(err, remote.ErrUnderWay) {
			t.Errorf("while a write is under way: %v", err)
		}
		if err := r.sink.SwitchCommands(context.Background(), true); err != nil || time.Since(begin) != 9*time.Second {
			t.Errorf("off after %v: %v", time.Since(begin), err)
		}
		time.Sleep(time.Minute)
		refused := commandNow("2", setSetpoint)
		for _, text := range []string{refused, commandNow("3", `,"action":"rebirth"`)} {
			if got := r.give(text); len(got) != 1 || got[0]["outcome"] != "refused" ||
				got[0]["text"] != "commands are switched off on the machine" {
				t.Errorf("off: %v", got)
			}
		}
		next := r.next(r.sink.options)
		if st := next.Commands(); !st.Off || !st.Since.Equal(begin.Add(0).Truncate(time.Millisecond)) ||
			cmp.Diff([]string{"topic plant/{gateway}/cmd"}, st.Ways) != "" {
			t.Errorf("after a restart: %+v", st)
		}
		if h := r.sink.Health(); len(h) != 1 || h[0].Subject != "commands" {
			t.Errorf("health %v", h)
		}
		if err := r.sink.SwitchCommands(context.Background(), false); err != nil || len(r.sink.Health()) != 0 ||
			r.sink.Commands().Off {
			t.Errorf("on: %v, %v", err, r.sink.Health())
		}
		if got := r.give(refused); got[0]["outcome"] != "refused" || got[0]["again"] != true || w.count() != 1 {
			t.Errorf("what was refused comes again: %v, %d writes", got, w.count())
		}
		if got := r.give(commandNow("4", setSetpoint)); got[0]["outcome"] != "done" || w.count() != 2 {
			t.Errorf("on: %v, %d writes", got, w.count())
		}
		counts := make(map[string]float64)
		r.sink.Observe(func(m bridge.Metric) {
			if m.Name == "fieldbridge_commands_total" || m.Name == "fieldbridge_commands_off" {
				counts[strings.Join(m.Labels, " ")] = m.Value
			}
		})
		if diff := cmp.Diff(map[string]float64{"": 0, "outcome done": 2, "outcome refused": 2, "outcome expired": 0,
			"outcome failed": 0, "outcome unconfirmed": 0}, counts); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
		if n := len(audit()); n != 4 {
			t.Errorf("%d audit records, want two that were carried out and two that were refused", n)
		}
	})
}
