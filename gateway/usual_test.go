package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/gateway/change"
)

// TestAwaitUsual: a gateway that has just started is not what a trial is measured by.
func TestAwaitUsual(t *testing.T) {
	const start, device = 5 * time.Minute, 20 * time.Second
	for name, tt := range map[string]struct {
		linkAt, goodAt time.Duration // after the start
		want           time.Duration
	}{
		"all is there at once":      {0, 0, start},
		"a device comes later":      {0, start + device, start + device},
		"the link comes later":      {start + device, 0, start + device},
		"a device is switched off":  {0, time.Hour, start + usualWithin},
		"the link is away for long": {time.Hour, 0, start + usualWithin},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			polls, usual := make(chan struct{}), make(chan struct{})
			vital := func() change.Vital {
				v := change.Vital{Connected: time.Since(began) >= tt.linkAt, Good: map[string]int{"press": 0, "oven": 3}}
				if time.Since(began) >= tt.goodAt {
					v.Good["press"] = 1
				}
				return v
			}
			go awaitUsual(t.Context(), polls, vital, usual)
			go func() { time.Sleep(start); close(polls) }()
			<-usual
			if got := time.Since(began); (got - tt.want).Abs() > time.Second {
				t.Errorf("%s: after %v, not %v", name, got, tt.want)
			}
		})
	}
}
