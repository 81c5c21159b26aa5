package payload

import (
	"strings"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
)

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
