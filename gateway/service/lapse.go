package service

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// instant is a moment as the three clocks of a machine tell it. They part when the
// process is stopped (none of them is), when the machine sleeps (run stands still) and
// when somebody sets the clock (wall leaps).
type instant struct {
	wall time.Time     // without its monotonic part
	run  time.Duration // CLOCK_MONOTONIC: since some moment, sleep left out
	all  time.Duration // CLOCK_BOOTTIME: with sleep
}

func now() instant {
	read := func(clock int32) time.Duration {
		var t unix.Timespec
		if unix.ClockGettime(clock, &t) != nil {
			return 0
		}
		return time.Duration(t.Nano())
	}
	return instant{wall: time.Now().Round(0), run: read(unix.CLOCK_MONOTONIC), all: read(unix.CLOCK_BOOTTIME)}
}

const (
	// stopped is how late a look is that says that the process did not run: a machine
	// that is busy makes it some seconds late.
	stopped = 15 * time.Second
	// leapt is how far a clock was set that is told. Time services turn it by less.
	leapt = 2 * time.Second
)

// lapse returns what happened between two looks that were to be every apart: for how
// long the program did not run, as its own timers tell, and a sentence for each thing
// that a person wants to know.
func lapse(before, at instant, every time.Duration) (lost time.Duration, told []string) {
	run := at.run - before.run
	slept := at.all - before.all - run
	if lost = run - every; lost >= stopped {
		told = append(told, fmt.Sprintf("the gateway did not run for %v: it was stopped (SIGSTOP), or the machine had no "+
			"time for it; what was due meanwhile is not made up for", lost.Round(time.Second)))
	} else {
		lost = 0
	}
	if slept >= leapt {
		told = append(told, fmt.Sprintf("the machine slept for %v; nothing was read meanwhile", slept.Round(time.Second)))
	}
	if set := at.wall.Add(-run - max(slept, 0)).Sub(before.wall); set.Abs() >= leapt {
		way := "forward"
		if set < 0 {
			way = "back"
		}
		told = append(told, fmt.Sprintf("the clock was set %s by %s, to %s: polls keep their pace, and readings have the "+
			"time of the clock as it is set", way, span(set.Abs()), at.wall.UTC().Format(time.RFC3339)))
	}
	return lost, told
}

// span is a duration as a person reads it.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= time.Minute:
		return d.Round(time.Minute).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
