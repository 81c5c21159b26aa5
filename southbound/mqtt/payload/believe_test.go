package payload

import (
	"testing"
	"time"

	"fieldbridge/setting"
)

// A time is believed if a clock that was set can have said it.
func TestTimesBelieved(t *testing.T) {
	span := func(d time.Duration) *setting.Duration { return new(setting.Duration(d)) }
	for _, c := range []struct {
		age, ahead *setting.Duration
		text       string
		believed   bool
	}{
		{nil, nil, "2026-03-29T11:59:00Z", true},
		{nil, nil, "2026-03-30T11:59:59Z", true},
		{nil, nil, "2026-03-30T12:00:01Z", false},
		{nil, nil, "2016-01-01T00:00:00Z", true}, // loggers
		{nil, nil, "1970-01-01T00:00:00Z", false},
		{nil, nil, "1980-01-06T00:10:00Z", false},
		{nil, nil, "2000-01-01T00:03:08Z", false},
		{nil, nil, "2000-11-28T10:00:00Z", false}, // it counted on
		{nil, nil, "2001-01-01T00:00:00Z", false},
		{nil, nil, "2036-02-07T06:28:16Z", false}, // the end of NTP's era
		{nil, nil, "2038-01-19T03:14:07Z", false},
		{nil, nil, "2106-02-07T06:28:15Z", false},
		{nil, nil, "9999-12-31T23:59:59Z", false},
		{nil, nil, "0001-01-01T00:00:00Z", false},
		{span(time.Hour), nil, "2026-03-29T11:00:00Z", true},
		{span(time.Hour), nil, "2026-03-29T10:59:59Z", false},
		{nil, span(0), "2026-03-29T12:00:00Z", true},
		{nil, span(0), "2026-03-29T12:00:01Z", false},
		{nil, span(10 * 365 * 24 * time.Hour), "2036-02-07T06:28:16Z", true},
	} {
		s := Settings{Time: &Time{Path: "t", MaxAge: c.age, MaxAhead: c.ahead}, Points: Points{"v": {Path: "v"}}}
		want := "v=1 " + c.text
		switch {
		case !c.believed:
			want = "v=1 fault=time"
		case c.text == arrival.Format(time.RFC3339):
			want = "v=1"
		}
		if got := decode(t, s, `{"v":1,"t":"`+c.text+`"}`); got != want {
			t.Errorf("%v %v: got %q, want %q", c.age, c.ahead, got, want)
		}
	}
}

// A gateway whose own clock was never set believes a sensor whose clock was.
func TestTimesWhereTheGatewayHasNone(t *testing.T) {
	unset := time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC)
	if !Believable(arrival, unset) || Believable(unset, unset) ||
		Believable(time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC), unset) {
		t.Error("what is ahead is judged by a clock that was never set")
	}
}

// The limits of times make sense.
func TestTimesValidated(t *testing.T) {
	for _, c := range []Time{{MaxAge: new(setting.Duration(0))}, {MaxAhead: new(setting.Duration(-1))}} {
		c.Path = "t"
		if p := (Settings{Time: &c, Points: Points{"v": {Path: "v"}}}).Validate(); len(p) != 1 {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}
