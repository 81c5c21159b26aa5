package jobs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cron is a maintenance window's beginning: the values of minute, hour, day, month,
// weekday (1 is Sunday) and year that match; nil matches all.
type cron [6]map[int]bool

var cronRanges = [6][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {1, 7}, {1970, 2199}}

// parseCron reads cron(minute hour day month weekday year) with numbers, lists,
// ranges, steps, * and ?.
func parseCron(text string) (c cron, err error) {
	inner, ok := strings.CutPrefix(text, "cron(")
	inner, closed := strings.CutSuffix(inner, ")")
	fields := strings.Fields(inner)
	if !ok || !closed || len(fields) != len(c) {
		return c, fmt.Errorf("%q is no cron(...) of six fields", text)
	}
	for i, field := range fields {
		if field == "*" || field == "?" {
			continue
		}
		c[i] = map[int]bool{}
		for part := range strings.SplitSeq(field, ",") {
			if err := addRange(c[i], part, cronRanges[i]); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func addRange(set map[int]bool, part string, bounds [2]int) error {
	span, step, stepped := strings.Cut(part, "/")
	each := 1
	var err error
	if stepped {
		if each, err = strconv.Atoi(step); err != nil || each < 1 {
			return fmt.Errorf("%q: the step is no number", part)
		}
	}
	from, to := bounds[0], bounds[1]
	if span != "*" {
		first, last, ranged := strings.Cut(span, "-")
		if from, err = strconv.Atoi(first); err != nil {
			return err
		}
		switch {
		case ranged:
			if to, err = strconv.Atoi(last); err != nil {
				return err
			}
		case !stepped:
			to = from
		}
	}
	if from < bounds[0] || to > bounds[1] || from > to {
		return fmt.Errorf("%q is not within %d to %d", part, bounds[0], bounds[1])
	}
	for n := from; n <= to; n += each {
		set[n] = true
	}
	return nil
}

func (c cron) matches(t time.Time) bool {
	for i, n := range [6]int{t.Minute(), t.Hour(), t.Day(), int(t.Month()), int(t.Weekday()) + 1, t.Year()} {
		if c[i] != nil && !c[i][n] {
			return false
		}
	}
	return true
}
