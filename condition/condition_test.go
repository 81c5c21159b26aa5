package condition

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Codes are for programs, sentences for people, and the manual has them all.
func TestKinds(t *testing.T) {
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `[^`]+` \\| (warning|alarm) \\|")
	rows := row.FindAllStringSubmatch(string(manual), -1)
	told := make(map[string]string)
	for _, row := range rows {
		told[row[1]] = row[2]
	}
	seen := make(map[string]bool)
	for _, k := range Kinds() {
		switch {
		case !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(k.Code), seen[k.Code]:
			t.Errorf("code %q", k.Code)
		case k.Severity != Warning && k.Severity != Alarm:
			t.Errorf("%s: severity %q", k.Code, k.Severity)
		case k.Sentence == "" || strings.HasSuffix(k.Sentence+k.Action, "."):
			t.Errorf("%s: sentence %q, action %q", k.Code, k.Sentence, k.Action)
		case told[k.Code] != string(k.Severity):
			t.Errorf("%s: docs/operations.md says %q, it is %q", k.Code, told[k.Code], k.Severity)
		case k.Action == "" && k.Sentence != "%s" && strings.Count(k.Sentence, "%") == 0:
			t.Errorf("%s: nothing says what to do", k.Code)
		}
		seen[k.Code] = true
	}
	if len(seen) < 20 || len(told) != len(seen) {
		t.Errorf("%d kinds, docs/operations.md has %d", len(seen), len(told))
	}
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l List
		if h := l.Health(); len(h) != 0 {
			t.Errorf("at first: %v", h)
		}
		start := time.Now()
		c, began := l.Raise(BusDown, "bus b", "no route", "that tcp://plc:502 is on and can be reached")
		want := Condition{"bus_down", Warning, "bus b", "no route: check that tcp://plc:502 is on and can be reached", start}
		if diff := cmp.Diff(want, c); diff != "" || !began {
			t.Errorf("began %v: %s", began, diff)
		}
		time.Sleep(time.Hour)
		l.Raise(BusDown, "bus a", "refused", "that tcp://plc:503 is on and can be reached")
		if c, began := l.Raise(BusDown, "bus b", "refused", "that tcp://plc:502 is on and can be reached"); began ||
			c.Since != start ||
			!strings.HasPrefix(c.Text, "refused") {
			t.Errorf("again: %v, %v", c, began)
		}
		l.Raise(QueueRefusesNew, "queue", "the queue is full and", "restore the uplink, or raise store.max_size")
		var got []string
		for _, c := range l.Health() {
			got = append(got, fmt.Sprint(c.Severity, " ", c, " ", c.Since.Sub(start)))
		}
		if diff := cmp.Diff([]string{
			"warning bus a: refused: check that tcp://plc:503 is on and can be reached 1h0m0s",
			"warning bus b: refused: check that tcp://plc:502 is on and can be reached 0s",
			"alarm queue: the queue is full and takes no new readings: restore the uplink, or raise store.max_size 1h0m0s",
		}, got); diff != "" {
			t.Error(diff)
		}
		if c, ended := l.Clear(BusDown, "bus b"); !ended || c.Since != start {
			t.Errorf("cleared: %v, %v", c, ended)
		}
		if _, ended := l.Clear(BusDown, "bus b"); ended || len(l.Health()) != 2 {
			t.Errorf("cleared twice: %v", l.Health())
		}
	})
}

// TestListIsShared is for the race detector.
func TestListIsShared(t *testing.T) {
	var l List
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 100 {
				l.Raise(DeviceDown, fmt.Sprint(i), "silent")
				l.Health()
				l.Clear(DeviceDown, fmt.Sprint(i))
			}
		})
	}
	all.Wait()
	if h := l.Health(); len(h) != 0 {
		t.Errorf("left: %v", h)
	}
}

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l List
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); Follow(ctx, l.Health, Log(log)) }()
		l.Raise(CommandsOff, "commands")
		l.Raise(SensorsShutOut, "mqtt local", "taken")
		time.Sleep(time.Minute)
		l.Raise(SensorsShutOut, "mqtt local", "still taken") // it is the same condition
		time.Sleep(61 * time.Second)
		l.Clear(SensorsShutOut, "mqtt local")
		time.Sleep(time.Minute)
		cancel()
		<-done
		want := `level=WARN msg="condition begins" code=commands_off subject=commands text="all commands ` +
			`of the cloud are refused, they are switched off on the machine: 'fieldbridge commands on' lets them in again"
level=ERROR msg="condition begins" code=sensors_shut_out subject="mqtt local" text="no sensor can connect: taken"
level=INFO msg="condition ends" code=sensors_shut_out subject="mqtt local" after=2m5s
`
		if diff := cmp.Diff(want, text.String()); diff != "" {
			t.Error(diff)
		}
	})
}
