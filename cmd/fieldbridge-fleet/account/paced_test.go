package account

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

type counter struct{ times []time.Time }

func (c *counter) Do(*http.Request) (*http.Response, error) {
	c.times = append(c.times, time.Now())
	return nil, nil
}

// TestPaced: a few calls go at once, many at their pace, and one that is given up does
// not wait.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		p := &paced{next: c, every: time.Second}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x", nil)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for range 100 {
			if _, err := p.Do(r); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != (100-burst)*time.Second || !c.times[burst-1].Equal(begun) {
			t.Errorf("100 calls took %v", took)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Do(r.WithContext(gone)); err == nil || len(c.times) != 100 {
			t.Errorf("%v, %d calls", err, len(c.times))
		}
	})
}
