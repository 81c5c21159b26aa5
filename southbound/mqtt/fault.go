package mqtt

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"fieldbridge/bridge"
)

// fault is why a message, or a value in it, could not be read. The names are
// label values of a metric.
type fault uint8

const (
	faultNone        fault = iota
	faultEmpty             // no payload at all
	faultJSON              // not valid JSON
	faultDeep              // JSON nested too deep
	faultName              // what the topic captured can't name a device or point
	faultMissing           // none of the rule's points is in the payload
	faultType              // a value is of another type
	faultRange             // a value is outside the range of its type
	faultNaN               // NaN or infinity
	faultCSV               // not valid CSV
	faultLines             // more lines of CSV than are read
	faultTime              // no time where it should be; the arrival's is taken
	faultSparkplug         // not a Sparkplug B payload
	faultUnborn            // a Sparkplug node whose birth was not seen
	faultGap               // a Sparkplug message is missing
	faultAlias             // a Sparkplug metric that no birth named
	faultUnsupported       // a Sparkplug metric that is no value: bytes, a file, a property set
	faultPoints            // more points than a payload or device may have
	faultDevices           // the rule has its most devices already
	faults                 // how many there are
)

var faultNames = [faults]string{"none", "empty", "not_json", "too_deep", "name", "missing", "wrong_type", "out_of_range",
	"not_a_number", "not_csv", "too_many_lines", "time",
	"not_sparkplug", "not_born", "sequence_gap", "unknown_alias", "not_a_value", "too_many_points", "too_many_devices"}

var faultTexts = [faults]string{"", "the payload is empty", "the payload is not valid JSON", "the JSON is nested more than 64 deep",
	"the topic has no usable name", "the payload has none of the rule's points", "the value is not of the point's type",
	"the value is outside the range of its type", "the value is NaN or infinite", "the payload is not valid CSV", "the CSV has more than 1000 lines",
	"there is no usable time where time says: that of arrival is taken",
	"the payload is not Sparkplug B", "the node's birth was not seen: it is asked for again", "a message of the node is missing: its birth is asked for again",
	"a metric that the birth did not name: it is asked for again",
	"a metric is bytes, a file or a property set: it is left out", "there are more points than can be taken", "the rule has as many devices as max_devices allows"}

func (f fault) String() string { return faultNames[f] }

// text says for people what is wrong, with a point or, if that is "", at all.
func (f fault) text(point string) string {
	if point != "" {
		return point + ": " + faultTexts[f]
	}
	return faultTexts[f]
}

// valueFault returns the fault that a bad value stands for. A sensor that says
// "no value" is not at fault.
func valueFault(v bridge.Value) fault {
	if v.Good() {
		return faultNone
	}
	switch v.Reason() {
	case bridge.ReasonType:
		return faultType
	case bridge.ReasonOutOfRange:
		return faultRange
	case bridge.ReasonNotANumber:
		return faultNaN
	}
	return faultNone
}

// faultLog counts what could not be read under one rule, and logs it at most
// once a minute: what a broken sensor sends every second is one line.
type faultLog struct {
	counts [faults]atomic.Uint64

	mu      sync.Mutex
	logged  time.Time // guarded by mu; the last line
	skipped uint64    // guarded by mu; faults since then
}

const faultLogEvery = time.Minute

func (l *faultLog) add(log *slog.Logger, f fault, rule, point string, m message) {
	l.counts[f].Add(1)
	l.mu.Lock()
	if !l.logged.IsZero() && m.at.Sub(l.logged) < faultLogEvery {
		l.skipped++
		l.mu.Unlock()
		return
	}
	skipped := l.skipped
	l.logged, l.skipped = m.at, 0
	l.mu.Unlock()
	log.Warn("can't read a sensor's message", "sensor", rule, "topic", m.topic, "reason", f.String(), "cause", f.text(point),
		"payload", excerpt(m.payload), "bytes", len(m.payload), "others_since_last_line", skipped)
}

// excerptBytes is how much of a payload people see.
const excerptBytes = 64

// excess is one more, to know that there is more.
const excess = excerptBytes + 1

// excerpt returns the first bytes of a payload for people.
func excerpt(payload []byte) string {
	if len(payload) <= excerptBytes {
		return string(payload)
	}
	cut := excerptBytes
	for cut > excerptBytes-utf8.UTFMax && !utf8.RuneStart(payload[cut]) {
		cut--
	}
	return string(payload[:cut]) + "…"
}
