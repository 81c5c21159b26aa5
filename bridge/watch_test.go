package bridge

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watch
		at := time.Now()
		emit := func(device, point string, v uint64) {
			w.see(&Batch{Device: device, At: at, Readings: []Reading{{point, Uint(v)}}})
		}
		look := func(device string) string {
			points, ok := w.latest(device)
			if !ok {
				return "refused"
			}
			text := ""
			for _, p := range points {
				text += fmt.Sprintf("%s=%v ", p.Point, p.Value)
			}
			return text
		}
		emit("a", "x", 1)
		if got := look("a"); got != "" {
			t.Errorf("kept before anyone looked: %s", got)
		}
		emit("a", "x", 2)
		emit("a", "b", 3)
		emit("other", "x", 9)
		emit("a", "x", 4)
		if diff := cmp.Diff("b=3 x=4 ", look("a")); diff != "" {
			t.Error(diff)
		}
		for i := range watchMost - 1 {
			look(fmt.Sprint(i))
		}
		if got := look("one more"); got != "refused" {
			t.Errorf("one more: %s", got)
		}
		time.Sleep(watchFor + time.Second)
		emit("a", "x", 5)
		if w.any.Load() || len(w.devices) > 0 {
			t.Error("watched although nobody looks")
		}
		if got := look("one more"); got != "" {
			t.Errorf("after the others: %s", got)
		}
	})
}
