package terms

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Wear is how much may be written in a time, as 10GB/year. The zero Wear is no limit.
type Wear struct {
	Bytes int64
	Per   string // year, month or day
}

// times are what may stand behind the slash; a month is a twelfth of a year.
var times = map[string]time.Duration{
	"year": 365 * 24 * time.Hour, "month": 365 * 24 * time.Hour / 12, "day": 24 * time.Hour,
}

var wearUnits = []struct {
	suffix string
	factor float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}

// UnmarshalText reads what people and data sheets write: 10GB/year, 1.5GiB/month,
// 40MB/day.
func (w *Wear) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is not a budget: write it as 10GB/year, 800MB/month or 30MB/day", text)
	amount, per, ok := strings.Cut(string(text), "/")
	if _, known := times[per]; !ok || !known {
		return wrong
	}
	for _, u := range wearUnits {
		number, is := strings.CutSuffix(amount, u.suffix)
		if !is {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" || n*u.factor < 1 || n*u.factor >= math.MaxInt64/2 {
			return wrong
		}
		*w = Wear{Bytes: int64(n * u.factor), Per: per}
		return nil
	}
	return wrong
}

// String writes w as it is read, with the largest unit that divides it.
func (w Wear) String() string {
	if w.Bytes == 0 {
		return ""
	}
	amount := strconv.FormatFloat(float64(w.Bytes)/1e3, 'f', -1, 64) + "kB"
	for _, u := range wearUnits {
		if w.Bytes%int64(u.factor) == 0 {
			amount = strconv.FormatInt(w.Bytes/int64(u.factor), 10) + u.suffix
		}
	}
	return amount + "/" + w.Per
}

// In returns the time that the bytes are for, 0 of no limit.
func (w Wear) In() time.Duration { return times[w.Per] }

// leastWear is the least budget, in bytes a year: a commit every ten minutes.
const leastWear = 1_500_000_000

// tooLittle reports whether not even a small commit every ten minutes is in it.
func (w Wear) tooLittle() bool {
	return w.Bytes != 0 && float64(w.Bytes)/w.In().Hours() < leastWear/times["year"].Hours()
}
