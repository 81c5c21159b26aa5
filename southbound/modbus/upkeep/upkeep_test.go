package upkeep

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func one(keep Keep) *Keeper {
	keep.Field = &point.Field{Name: "x"}
	return New(Spec{Keeps: []Keep{keep}})
}

// TestRetries: how long after the end of a keep that failed it is tried again.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name     string
		every    time.Duration
		answered bool
		busy     time.Duration
		want     []time.Duration
	}{
		{"a quarter", 2 * time.Second, false, 10 * time.Millisecond,
			[]time.Duration{500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond}},
		{"at most a second", time.Minute, false, 10 * time.Millisecond, []time.Duration{time.Second, time.Second}},
		{"silence has a tenth of the line", 2 * time.Second, false, time.Second,
			[]time.Duration{500 * time.Millisecond, 500 * time.Millisecond, 9 * time.Second, 9 * time.Second}},
		{"a refusal ever more seldom, up to every", 2 * time.Second, true, time.Second,
			[]time.Duration{500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
				2 * time.Second}},
		{"no storm", 100 * time.Millisecond, true, 0, []time.Duration{50 * time.Millisecond, 50 * time.Millisecond}},
	} {
		k, now := one(Keep{Value: bridge.Int(1), Every: test.every}), start
		for i, want := range test.want {
			turn := k.Due(now, 0, 1, false)
			if turn == nil {
				t.Fatalf("%s: nothing is due", test.name)
			}
			k.Done(turn, Outcome{Now: now, Busy: test.busy, Answered: test.answered, Err: errors.New("no")})
			if got := k.Next(1, false).Sub(now); got != want {
				t.Errorf("%s: pause %d is %v, want %v", test.name, i, got, want)
			}
			now = k.Next(1, false)
		}
		turn := k.Due(now, 0, 1, false)
		if _, ends := k.Done(turn, Outcome{Now: now, Answered: true}); !ends || k.Next(1, false).Sub(now) != test.every {
			t.Errorf("%s: afterwards it is due in %v", test.name, k.Next(1, false).Sub(now))
		}
	}
}

// TestStopValueThatIsRefused is not tried for ever.
func TestStopValueThatIsRefused(t *testing.T) {
	k, now := one(Keep{Value: bridge.Int(1), Every: time.Second, Stop: bridge.Int(0)}), start
	k.Done(k.Due(now, 0, 1, false), Outcome{Now: now, Answered: true})
	k.End(now)
	n := 0
	for k.Owes() {
		turn := k.Due(now, 0, 1, false)
		if n++; turn == nil || n > 10 || turn.Writes[0].Value != bridge.Int(0) {
			t.Fatalf("after %d tries: %v", n, turn)
		}
		k.Done(turn, Outcome{Now: now, Answered: true, Err: errors.New("no")})
		now = now.Add(time.Second)
	}
	if n != releases || k.Due(now, time.Hour, 1, false) != nil {
		t.Errorf("%d tries, want %d", n, releases)
	}
}

// TestStopValueAtTheStart: what an earlier run left in the device is ended once, and
// there is nothing to end afterwards.
func TestStopValueAtTheStart(t *testing.T) {
	k := one(Keep{Every: time.Second, For: time.Minute, Stop: bridge.Int(0)})
	turn := k.Due(start, 0, 1, false)
	for range 2 * releases { // until it is written
		k.Done(turn, Outcome{Now: start, Err: errors.New("no")})
		turn = k.Due(k.Next(1, false), 0, 1, false)
	}
	k.Done(turn, Outcome{Now: start, Answered: true})
	k.End(start)
	if turn.Writes[0].Value != bridge.Int(0) || k.Owes() || k.Due(start, time.Hour, 1, false) != nil {
		t.Error("a stop value of a command that never came")
	}
}

// TestFollowing: what is kept is what another point has, the stop value is its own.
func TestFollowing(t *testing.T) {
	from := &point.Field{Name: "counter"}
	k := one(Keep{From: from, Value: bridge.Int(1), Every: time.Second, Stop: bridge.Int(9)})
	turn := k.Due(start, 0, 1, false)
	if w := turn.Writes[0]; w.From != from || w.Value != bridge.Int(1) {
		t.Errorf("%+v", w)
	}
	k.Done(turn, Outcome{Now: start, Answered: true})
	k.End(start)
	if w := k.Due(start, 0, 1, false).Writes[0]; w.From != nil || w.Value != bridge.Int(9) {
		t.Errorf("at the end: %+v", w)
	}
}

// TestTell: a person reads in 'fieldbridge check' what will be written.
func TestTell(t *testing.T) {
	f, unlock := &point.Field{Name: "x"}, &point.Field{Name: "holding 1536"}
	s := Spec{OnConnect: []Write{{Field: unlock, Value: bridge.Int(6868)}, {Field: f, Value: bridge.Bool(false)}},
		BeforeWrite: []Write{{Field: unlock, Value: bridge.Int(1)}},
		Keeps: []Keep{{Field: f, Value: bridge.Int(1), Every: 5 * time.Second, Stop: bridge.Int(0)},
			{Field: f, Every: time.Minute, For: 15 * time.Minute},
			{Field: f, Value: bridge.Bool(false), Then: []bridge.Value{bridge.Bool(true)}, Every: time.Second},
			{Field: f, Value: bridge.Int(1), From: &point.Field{Name: "counter"}, Every: time.Second},
			{Field: f, Value: bridge.Int(0), From: &point.Field{Name: "counter"}, Every: time.Second}}}
	want := "on each connection: holding 1536 = 6868, x = false\nbefore each command: holding 1536 = 1\n" +
		"each 5s: x = 1; at the end 0\neach 1m: x as the last command says, for 15m\n" +
		"each 1s: x = false, then true\neach 1s: x = counter + 1\neach 1s: x = counter"
	if got := strings.Join(s.Tell(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestValuesInTurn: values that follow one another, the next only when the last one
// was taken; the stop value ends them.
func TestValuesInTurn(t *testing.T) {
	k, now := one(Keep{Value: bridge.Int(0), Then: []bridge.Value{bridge.Int(1), bridge.Int(2)}, Every: time.Second,
		Stop: bridge.Int(9)}), start
	for i, want := range []int64{0, 1, 1, 2, 0, 1} {
		turn := k.Due(now, 0, 1, false)
		if turn == nil || turn.Writes[0].Value != bridge.Int(want) {
			t.Fatalf("turn %d: %v, want %d", i, turn, want)
		}
		o := Outcome{Now: now, Answered: true}
		if i == 1 {
			o.Err = errors.New("no")
		}
		k.Done(turn, o)
		now = k.Next(1, false)
	}
	as := one(Keep{Value: bridge.Int(0), Then: []bridge.Value{bridge.Int(1), bridge.Int(2)}, Every: time.Second})
	as.Inherit(k)
	if turn := as.Due(now, 0, 1, false); turn.Writes[0].Value != bridge.Int(2) {
		t.Errorf("after a reload it goes on with %v", turn.Writes[0].Value)
	}
	k.End(now)
	k = one(Keep{Value: bridge.Int(0), Then: []bridge.Value{bridge.Int(1)}, Every: time.Second, Stop: bridge.Int(9)})
	k.Done(k.Due(now, 0, 1, false), Outcome{Now: now, Answered: true})
	k.End(now)
	if turn := k.Due(now, 0, 1, false); turn == nil || turn.Writes[0].Value != bridge.Int(9) {
		t.Errorf("at the end: %v, want 9", turn)
	}
}
