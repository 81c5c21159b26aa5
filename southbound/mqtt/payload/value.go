package payload

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fieldbridge/bridge"
)

// Kind is what a value is read as.
type Kind uint8

const (
	KindFloat64 Kind = iota // the default
	KindFloat32
	KindInt
	KindUint
	KindBool
	KindString
	KindAny // what each value is written as
)

// Type is a type by its name in the configuration.
type Type struct {
	Name string
	Kind Kind
	Bits int // of integers
}

// anyType is the type of values that are what each is written as.
const anyType = "any"

var valueTypes = []Type{
	{"float64", KindFloat64, 64}, {"float32", KindFloat32, 32},
	{"int8", KindInt, 8}, {"int16", KindInt, 16}, {"int24", KindInt, 24}, {"int32", KindInt, 32}, {"int64", KindInt, 64},
	{"uint8", KindUint, 8}, {"uint16", KindUint, 16}, {"uint24", KindUint, 24}, {"uint32", KindUint, 32},
	{"uint64", KindUint, 64},
	{"bool", KindBool, 0}, {"string", KindString, 0}, {anyType, KindAny, 0},
}

// LookupType returns the type called name; "" is float64.
func LookupType(name string) (Type, bool) {
	if name == "" {
		return valueTypes[0], true
	}
	i := slices.IndexFunc(valueTypes, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return valueTypes[i], true
}

// maxText is the longest text value in bytes. More is a
// document, not a reading, and would not fit into one message to the cloud.
const maxText = 1024

// value reads a value from text, which may be part of a larger buffer: the
// value does not keep it.
func (e *extract) value(text string) bridge.Value {
	text = strings.TrimRight(text, "\x00") // as C ends it
	if e.invalid != nil && slices.Contains(e.invalid, strings.TrimSpace(text)) {
		return bridge.Bad(bridge.ReasonSentinel)
	}
	if e.decimal != ',' || !e.number() {
		if v := e.plain(text); v.Good() || v.Reason() != bridge.ReasonType || !e.number() {
			return v
		}
	}
	if e.numbers != nil {
		return e.plain(text)
	}
	return e.scaled(e.written(text))
}

// scaled is the value of a number that was read.
func (e *extract) scaled(v bridge.Value) bridge.Value {
	if e.sentinels != nil {
		if f, ok := v.Float(); ok && slices.Contains(e.sentinels, f) {
			return bridge.Bad(bridge.ReasonSentinel)
		}
	}
	return e.scaling.Apply(v)
}

// unquoted takes the quotes off a number or bool that is written as a text of JSON.
func (e *extract) unquoted(text string) string {
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' && e.typ.Kind != KindString {
		return text[1 : n-1]
	}
	return text
}

// number reports whether the point is a number.
func (e *extract) number() bool { return e.typ.Kind < KindBool }

// plain reads a value from text in which numbers are as in JSON.
func (e *extract) plain(text string) bridge.Value {
	switch {
	case e.typ.Kind == KindBool && (e.trueWhen != nil || e.falseWhen != nil):
		return e.word(strings.TrimSpace(text))
	case e.numbers != nil:
		return e.choice(strings.TrimSpace(text))
	}
	return e.scaled(e.typ.parse(text))
}

// word reads a bool by the configured words.
func (e *extract) word(text string) bridge.Value {
	isTrue, isFalse := parseBool(text) == bridge.Bool(true), parseBool(text) == bridge.Bool(false)
	if e.trueWhen != nil {
		isTrue = slices.Contains(e.trueWhen, text)
	}
	if e.falseWhen != nil {
		isFalse = slices.Contains(e.falseWhen, text)
	}
	if isTrue == isFalse {
		return bridge.Bad(bridge.ReasonType)
	}
	return bridge.Bool(isTrue)
}

// choice reads one of an enum's numbers, or its name.
func (e *extract) choice(text string) bridge.Value {
	if n, ok := e.numbers[text]; ok {
		text = strconv.FormatInt(n, 10)
	}
	v := e.typ.parse(text)
	n, ok := integer(v)
	if !v.Good() || !ok {
		return v
	}
	if _, ok := e.info.Enum[n]; !ok {
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	return v
}

// integer returns the value of an integer, if int64 can hold it.
func integer(v bridge.Value) (int64, bool) {
	return int64(v.Bits()), v.Kind() == bridge.KindInt || v.Kind() == bridge.KindUint && v.Bits() <= math.MaxInt64
}

// parse reads a value from text.
func (t Type) parse(text string) bridge.Value {
	switch t.Kind {
	case KindString:
		return Text(text)
	case KindBool:
		return parseBool(strings.TrimSpace(text))
	case KindAny:
		if Exact {
			return parseAny(text)
		}
	}
	return t.parseNumber(strings.TrimSpace(text))
}

// Text returns a text value that does not share its bytes with s: bad if it is too
// long, or not UTF-8.
func Text(s string) bridge.Value {
	switch {
	case !utf8.ValidString(s):
		return bridge.Bad(bridge.ReasonType)
	case len(s) > maxText:
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	return bridge.String(strings.Clone(s))
}

// parseBool reads the words that devices use for true and false.
func parseBool(s string) bridge.Value {
	switch {
	case s == "1", strings.EqualFold(s, "true"), strings.EqualFold(s, "on"), strings.EqualFold(s, "yes"):
		return bridge.Bool(true)
	case s == "0", strings.EqualFold(s, "false"), strings.EqualFold(s, "off"), strings.EqualFold(s, "no"):
		return bridge.Bool(false)
	}
	if decimal(s) { // 1.0 and 0.0
		if f, err := strconv.ParseFloat(s, 64); err == nil && (f == 0 || f == 1) {
			return bridge.Bool(f == 1)
		}
	}
	return noValue(s)
}

// parseAny reads a number or a bool as that, and all else as text. A number with a zero
// before it is a serial number rather.
func parseAny(text string) bridge.Value {
	s := strings.TrimSpace(text)
	switch {
	case strings.EqualFold(s, "true"), strings.EqualFold(s, "false"):
		return parseBool(s)
	case number(s):
		return numberValue(s)
	}
	if v := notDecimal(s); v.Reason() != bridge.ReasonType {
		return v
	}
	return Text(text)
}

// parseNumber reads a decimal number. Integers are exact up to 64 bits, also
// when they are written as 21.0 or 2.1e1.
func (t Type) parseNumber(s string) bridge.Value {
	if !decimal(s) {
		return notDecimal(s)
	}
	switch t.Kind {
	case KindInt:
		if v, err := strconv.ParseInt(s, 10, t.Bits); err == nil {
			return bridge.Int(v)
		}
	case KindUint:
		if v, err := strconv.ParseUint(s, 10, t.Bits); err == nil {
			return bridge.Uint(v)
		}
	case KindFloat32:
		v, err := strconv.ParseFloat(s, 32)
		return floatResult(bridge.Float32(float32(v)), err)
	default:
		v, err := strconv.ParseFloat(s, 64)
		return floatResult(bridge.Float64(v), err)
	}
	return t.wholeFloat(s)
}

func floatResult(v bridge.Value, err error) bridge.Value {
	if err == nil {
		return v
	}
	if err.(*strconv.NumError).Err == strconv.ErrRange {
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	return bridge.Bad(bridge.ReasonType)
}

// wholeFloat makes an integer of 21.0 and 2.1e1. What has a fraction is bad,
// since rounding would hide a wrong type.
func (t Type) wholeFloat(s string) bridge.Value {
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return floatResult(bridge.Value{}, err)
	case f != math.Trunc(f):
		return bridge.Bad(bridge.ReasonType)
	case t.Kind == KindUint && f >= 0 && f < math.Ldexp(1, min(t.Bits, 53)):
		return bridge.Uint(uint64(f))
	case t.Kind == KindInt && f >= -math.Ldexp(1, min(t.Bits-1, 53)) && f < math.Ldexp(1, min(t.Bits-1, 53)):
		return bridge.Int(int64(f))
	}
	return bridge.Bad(bridge.ReasonOutOfRange)
}

// decimal reports whether s has only what decimal numbers are made of:
// strconv would take hexadecimal floats and underscores too.
func decimal(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return false
		}
	}
	return s != ""
}

// notDecimal tells the words for "no value" from all other text.
func notDecimal(s string) bridge.Value {
	if notANumber(s) {
		return bridge.Bad(bridge.ReasonNotANumber)
	}
	return noValue(s)
}

// noValue tells the words by which sensors say that they have no value.
func noValue(s string) bridge.Value {
	switch strings.ToLower(s[:min(len(s), 16)]) {
	case "null", "none", "unavailable", "unknown", "undefined", "", "-", "--", "---", "n/a", "#n/a":
		return bridge.Bad(bridge.ReasonMissing)
	}
	return bridge.Bad(bridge.ReasonType)
}

// infoOf is what the catalogue is told of a point that has a value now.
func (e *extract) infoOf(r bridge.Reading) bridge.PointInfo {
	info := e.info
	if Exact && e.typ.Kind == KindAny {
		info.Type = inferred(r).Type
	}
	return info
}

// cut returns the part of a text that the value is in; false if there is none.
func (e *extract) cut(text string) (string, bool) { return between(text, e.after, e.until) }
