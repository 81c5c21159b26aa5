package payload

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
)

// cut returns the part of a text that the value is in; false if there is none.
func (e *extract) cut(text string) (string, bool) { return between(text, e.after, e.until) }

// between returns what is between two texts, each of which may be "" for where the text
// begins, and for the end of the line.
func between(text, after, until string) (string, bool) {
	if !Exact || after == "" && until == "" {
		return text, true
	}
	if after != "" {
		var ok bool
		if text, ok = behindName(text, after); !ok {
			return "", false
		}
	}
	if until == "" {
		until = "\n"
	}
	text, _, _ = strings.Cut(text, until)
	return text, true
}

// behindName returns what is behind a name in a text. A name that begins with a letter
// or digit is not the end of another one: "T=" is not in "DEWT=3".
func behindName(text, name string) (string, bool) {
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return "", false
		}
		begin := at + i
		at = begin + len(name)
		if begin == 0 || !inName(name[0]) || !inName(text[begin-1]) {
			return text[at:], true
		}
	}
}

// inName reports whether c is a part of a name: a letter, also of other alphabets, a
// digit or '_'.
func inName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

// readText returns those of the rule's points that a text has.
func (r *Rule) readText(payload []byte, at time.Time) (Result, Fault) {
	text, worst := topic.View(trim(payload)), FaultNone
	out := Result{At: at, Readings: make([]bridge.Reading, 0, len(r.points))}
	for i := range r.points {
		p := &r.points[i]
		if part, ok := p.cut(text); ok {
			out.add(p, p.value(part), &worst)
		}
	}
	if r.clock != nil {
		if part, ok := between(text, r.clock.after, r.clock.until); ok && !out.stamp(r.clock.read(part, at)) {
			worst = FaultTime
		}
	}
	return out.checked(worst)
}

// quality is where a payload says whether its values are good.
type quality struct {
	place
	words Words
}

// is reports whether what was found says good.
func (q *quality) is(found gjson.Result) bool {
	return found.Type == gjson.Null || q.words.Has(found.String())
}

// spoil makes all values bad, since their sender says so.
func (out *Result) spoil() {
	for i := range out.Readings {
		out.Readings[i].Value = bridge.Bad(bridge.ReasonSentinel)
	}
	out.Fault, out.Point = FaultNone, ""
}
