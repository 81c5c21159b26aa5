package commission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldbridge/order"
	"fieldbridge/southbound/modbus/wire"
)

// LineSettings are those of a serial line that a scan tries.
type LineSettings struct {
	Baud     int         `json:"baud"`
	DataBits int         `json:"data_bits"`
	Parity   wire.Parity `json:"parity"`
	StopBits int         `json:"stop_bits"`
}

// String writes them as 9600 8E1.
func (l LineSettings) String() string {
	return fmt.Sprintf("%d %d%c%d", l.Baud, l.DataBits, strings.ToUpper(string(l.Parity))[0], l.StopBits)
}

// CommonLines are the settings that devices come with, the most frequent first;
// those of ASCII have seven data bits mostly.
func CommonLines(ascii bool) []LineSettings {
	all := []LineSettings{{9600, 8, wire.NoParity, 1}, {9600, 8, wire.EvenParity, 1}, {19200, 8, wire.EvenParity, 1},
		{19200, 8, wire.NoParity, 1}}
	frames := []LineSettings{{0, 8, wire.NoParity, 1}, {0, 8, wire.EvenParity, 1}, {0, 8, wire.NoParity, 2},
		{0, 8, wire.OddParity, 1}}
	if ascii {
		all = []LineSettings{{9600, 7, wire.EvenParity, 1}, {19200, 7, wire.EvenParity, 1}, {9600, 8, wire.NoParity, 1}}
		frames = []LineSettings{{0, 7, wire.EvenParity, 1}, {0, 8, wire.NoParity, 1}, {0, 7, wire.NoParity, 2},
			{0, 7, wire.OddParity, 1}, {0, 8, wire.EvenParity, 1}}
	}
	for _, baud := range []int{9600, 19200, 38400, 115200, 57600, 4800, 2400, 1200} {
		for _, l := range frames {
			if l.Baud = baud; !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	return all
}

// likelyUnits are the ids that devices come with, and that people give first.
var likelyUnits = []int{1, 2, 3, 10, 247}

// LineStep is how far a scan of a line has come.
type LineStep struct {
	LineSettings
	Unit      int
	Done, All int // questions, if none is answered
}

// LineAnswer is what answered on a line.
type LineAnswer struct {
	LineSettings
	Unit int `json:"unit"`
	Answer
}

// LineScan tries settings of a serial line, and on each some units, until one
// answers by the protocol.
type LineScan struct {
	Settings    []LineSettings
	First, Last int // units
	// Ask asks whether a unit answers at some settings. Its error ends the scan.
	Ask func(ctx context.Context, l LineSettings, unit int) (Answer, error)
	// Step is told each question before it is asked. It may be nil.
	Step func(LineStep)

	asked map[question]bool
	heard []LineAnswer
}

type question struct {
	LineSettings
	unit int
}

// Run returns what answered, false if nothing did, and what was heard besides
// that is no answer by the protocol: a sign of life at settings that are nearly
// right, or of another master. The units that are likely are asked at all
// settings before any other. Where something was heard, its unit is asked next
// at all settings, those of the same speed first.
func (s *LineScan) Run(ctx context.Context) (found LineAnswer, ok bool, heard []LineAnswer, err error) {
	s.asked = make(map[question]bool)
	var likely, others []int
	for unit := s.First; unit <= s.Last; unit++ {
		if slices.Contains(likelyUnits, unit) {
			likely = append(likely, unit)
		} else {
			others = append(others, unit)
		}
	}
	for _, units := range [][]int{likely, others} {
		for _, l := range s.Settings {
			for _, unit := range units {
				if found, ok, err = s.follow(ctx, l, unit); ok || err != nil {
					return found, ok, s.heard, err
				}
			}
		}
	}
	return found, false, s.heard, nil
}

// follow asks, and goes after what it hears.
func (s *LineScan) follow(ctx context.Context, l LineSettings, unit int) (LineAnswer, bool, error) {
	got, err := s.ask(ctx, l, unit)
	if err != nil || got.Speaks() || got.Presence == Absent {
		return got, got.Speaks(), err
	}
	near := slices.Clone(s.Settings)
	order.Stably(near, func(a, b LineSettings) int {
		return rank(b.Baud == l.Baud) - rank(a.Baud == l.Baud)
	})
	for _, l := range near {
		if got, err = s.ask(ctx, l, unit); err != nil || got.Speaks() {
			return got, got.Speaks(), err
		}
	}
	return LineAnswer{}, false, nil
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ask asks what was not asked before.
func (s *LineScan) ask(ctx context.Context, l LineSettings, unit int) (LineAnswer, error) {
	q := question{l, unit}
	if s.asked[q] {
		return LineAnswer{}, nil
	}
	if s.Step != nil {
		s.Step(LineStep{LineSettings: l, Unit: unit, Done: len(s.asked), All: len(s.Settings) * (s.Last - s.First + 1)})
	}
	s.asked[q] = true
	answer, err := s.Ask(ctx, l, unit)
	got := LineAnswer{LineSettings: l, Unit: unit, Answer: answer}
	if answer.Presence == Noise {
		s.heard = append(s.heard, got)
	}
	return got, err
}

// LineAsker returns what asks a unit of the serial line at p for [LineScan]. The
// port is opened anew where the settings change; done closes it.
func LineAsker(p wire.Place, timeout time.Duration, o Options) (ask func(context.Context, LineSettings, int) (Answer,
	error), done func()) {
	var (
		m  *Master
		at LineSettings
	)
	done = func() {
		if m != nil {
			m.Close()
		}
	}
	return func(ctx context.Context, l LineSettings, unit int) (Answer, error) {
		if m == nil || l != at {
			done()
			p.Serial.Baud, p.Serial.DataBits, p.Serial.Parity, p.Serial.StopBits = l.Baud, l.DataBits, l.Parity, l.StopBits
			m, at = Open(p, timeout, o), l
		}
		return m.look(ctx, unit)
	}, done
}
