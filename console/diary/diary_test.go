package diary

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/condition"
)

// memory is a state, with how often something was noted.
type memory struct {
	value []byte
	notes int
}

func (m *memory) Get(string) ([]byte, error) { return m.value, nil }
func (m *memory) Note(_ string, v []byte) error {
	m.value, m.notes = v, m.notes+1
	return nil
}

func tell(d *Diary) (text string) {
	for _, e := range d.Events() {
		text += fmt.Sprintf("%s %s %s %s %s\n", e.Kind, e.Severity, e.Subject, e.Text, e.For)
	}
	return text
}

var quiet = slog.New(slog.DiscardHandler)

func TestKeptOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		d := Open(m, "v1", quiet)
		time.Sleep(time.Minute)
		down := condition.UplinkDown.At("uplink", time.Now(), "refused: check it")
		d.Changed(down, false)
		time.Sleep(time.Minute)
		d.Changed(down, true)
		ended := time.Now()
		if d.WellSince() != ended {
			t.Errorf("well since %v", d.WellSince())
		}
		d.Close()
		time.Sleep(time.Hour)
		d = Open(m, "v2", quiet)
		defer d.Close()
		want := "started   v2 0s\nends warning uplink refused: check it 1m0s\nbegins warning uplink refused: check it 0s\n" +
			"started   v1 0s\n"
		if got := tell(d); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if d.WellSince() != time.Now() {
			t.Errorf("well since %v", d.WellSince())
		}
	})
}

// A condition that comes and goes all day costs the flash little.
func TestFlashIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		d := Open(m, "v1", quiet)
		c := condition.UplinkDown.At("uplink", time.Now(), strings.Repeat("ü", 5000))
		for range 24 * 60 {
			d.Changed(c, false)
			time.Sleep(30 * time.Second)
			d.Changed(c, true)
			time.Sleep(30 * time.Second)
		}
		synctest.Wait() // a save may be due this instant
		if m.notes > 24*4+1 || m.notes < 24*4-4 {
			t.Errorf("saved %d times in a day", m.notes)
		}
		if n := len(d.Events()); n != Most || len(m.value) > 64*1024 {
			t.Errorf("%d events, %d bytes", n, len(m.value))
		}
		notes := m.notes
		d.Close()
		if d.Close(); m.notes > notes+1 {
			t.Errorf("closed: saved %d times more", m.notes-notes)
		}
	})
}

func TestDamagedDiary(t *testing.T) {
	for _, damaged := range []string{"{", `[{"at":1}]`, "[null"} {
		synctest.Test(t, func(t *testing.T) {
			d := Open(&memory{value: []byte(damaged)}, "v1", quiet)
			defer d.Close()
			if got := tell(d); got != "started   v1 0s\n" {
				t.Errorf("%s: %s", damaged, got)
			}
		})
	}
}
