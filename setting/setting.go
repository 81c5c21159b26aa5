// Package setting has the types that adapters use in their configuration
// structs: durations and sizes as people write them, files, and problems that
// point at a key.
//
// A configuration struct has `yaml:"key"` tags on exported fields and a doc
// comment on each that serves as its reference text. The loader (package
// configs) fills it strictly:
//
//   - before decoding, SetDefaults is called if the type (also a map's or
//     slice's element type) has that method on its pointer;
//   - scalars whose type implements [encoding.TextUnmarshaler] get the source
//     text; a struct, map or [Ordered] with that method takes a scalar as well
//     as its own form;
//   - a pointer field is nil unless its key was given;
//   - afterwards, Validate returns what is wrong as [Problem] values, which the
//     loader turns into file:line:column.
package setting

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Problem is something wrong with a configuration.
type Problem struct {
	// Path is where: keys from the struct that validates down to the value.
	Path []string
	// OnKey points at the last key of Path instead of its value.
	OnKey bool
	Text  string // what is wrong
	Fix   string // what to do
	// Warning says that the configuration works nevertheless.
	Warning bool
}

// Under returns the problems with path before theirs.
func Under(path []string, problems []Problem) []Problem {
	for i := range problems {
		problems[i].Path = append(append([]string(nil), path...), problems[i].Path...)
	}
	return problems
}

// Duration is a time span: a number with a unit from ns to d, as 250ms, 1.5s,
// 1h30m, 30d. A bare 0 is allowed.
type Duration time.Duration

// UnmarshalText reads what people write.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "0" {
		*d = 0
		return nil
	}
	var days time.Duration
	rest := s
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a duration: write it as 250ms, 5s, 10m, 2h or 30d", s)
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			*d = Duration(days)
			return nil
		}
	}
	v, err := time.ParseDuration(rest)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it as 250ms, 5s, 10m, 2h or 30d", s)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative: durations are 0s or longer", s)
	}
	*d = Duration(days + v)
	return nil
}

// D returns d as time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText writes d as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes d as it is read.
func (d Duration) String() string {
	v := time.Duration(d)
	if v != 0 && v%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(v/(24*time.Hour)), 10) + "d"
	}
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes: 512, 64KiB, 1GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// UnmarshalText reads what people write.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = n, u.factor
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > math.MaxInt64/factor {
		return fmt.Errorf("%q is not a size: write it as 512, 64KiB, 512MiB or 1GiB", text)
	}
	*s = Size(v * factor)
	return nil
}

// String writes s as it is read, with the largest unit that divides it.
func (s Size) String() string {
	for i := len(sizeUnits) - 2; i >= 0; i-- {
		if u := sizeUnits[i]; s != 0 && int64(s)%u.factor == 0 {
			return strconv.FormatInt(int64(s)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Named is an element of an [Ordered] map.
type Named[T any] struct {
	Name  string
	Value T
}

// Ordered is a YAML map whose order matters: rules that are tried in turn.
type Ordered[T any] []Named[T]

// Get returns the element called name.
func (o Ordered[T]) Get(name string) (T, bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	var zero T
	return zero, false
}
