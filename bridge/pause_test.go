package bridge_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"

	"github.com/google/go-cmp/cmp"
)

// denies refuses the topic of one device until it is told not to.
type denies struct {
	topic string
	until time.Time
	tried []time.Duration // since the start
	start time.Time
}

func (d *denies) script(_ int, m bridge.Message) bridgetest.Outcome {
	if m.Topic != d.topic {
		return bridgetest.Outcome{}
	}
	d.tried = append(d.tried, time.Since(d.start))
	if time.Now().Before(d.until) {
		return bridgetest.Outcome{Err: bridge.RefuseTopic(errors.New("not authorized"))}
	}
	return bridgetest.Outcome{}
}

func TestRefusedTopicWaitsAlone(t *testing.T) {
	for _, oldestFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			format := bridgetest.Format{}
			d := &denies{topic: format.Topic(&bridge.Batch{Device: "closed"}), start: time.Now(), until: time.Now().Add(time.Minute)}
			r := start(t, &bridgetest.Sink{Script: d.script}, format, bridge.ForwardConfig{OldestFirst: oldestFirst})
			defer r.stop()
			r.append("closed", 3)
			for range 50 { // more than fills a message, of both
				r.append("closed", 5)
				r.append("open", 5)
				r.after(time.Second)
			}
			r.balanced(250, 253, 0)
			r.after(time.Minute)
			r.balanced(503, 0, 0)
			pauses := make([]time.Duration, 0, len(d.tried))
			for i := 1; i < len(d.tried) && len(pauses) < 4; i++ {
				if gap := d.tried[i] - d.tried[i-1]; gap > 0 { // several messages may go at once
					pauses = append(pauses, gap)
				}
			}
			want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}
			if diff := cmp.Diff(want, pauses); diff != "" {
				t.Errorf("tried again after (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDrainDoesNotWaitForARefusedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		format := bridgetest.Format{}
		d := &denies{topic: format.Topic(&bridge.Batch{Device: "closed"}), start: time.Now(), until: time.Now().Add(time.Hour)}
		r := start(t, &bridgetest.Sink{Script: d.script}, format, bridge.ForwardConfig{Linger: time.Minute})
		defer r.stop()
		r.append("closed", 3)
		r.after(2 * time.Minute)
		r.append("open", 3)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r.fwd.Drain(ctx)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the drain took %v", took)
		}
		r.balanced(3, 3, 0)
	})
}
