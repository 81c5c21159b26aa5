package payload

import (
	"testing"
	"time"
)

// What is no JSON is told as what it is, and text of Windows is read.
func TestWhatIsNoJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"Time":"2017-03-18T21:42:21", "DS18x20":{"DS1":{"Type":"DS18B20"`: "cut",
		"{\"t\":1}\n{\"t\":2}\n": "several",
		"T=21.5;H=45":            "text",
		"<s><t>21.5</t></s>":     "text",
		"\x28\xb5\x2f\xfd\x20\x0a\x51\x00\x00{\"t\":1}": "binary",
		"\xff\xd8\xff\xe0\x00\x10JFIF":                  "binary",
		"\x0a\x04\xff\x12\x01":                          "binary",
		`{"raw":"00288.5381,"error":"no error"}`:        "not_json",
		"\xff\xfe{\x00\"\x00t\x00\"\x00:\x001\x00}\x00": "none",
		"\xfe\xff\x00{\x00\"\x00t\x00\"\x00:\x001\x00}": "none",
		"{\x00\"\x00t\x00\"\x00:\x001\x00}\x00":         "none",
		"\xef\xbb\xbf{\"t\":1}":                         "none",
	} {
		r := compile(t, Settings{Points: Points{"t": {Path: "t"}}})
		payload, f := r.Unpack([]byte(text), "")
		if f == FaultNone {
			_, f = r.Read("", payload, time.Time{})
		}
		if f.String() != want {
			t.Errorf("%q: %s, want %s", text, f, want)
		}
		if unreadable := want != "none"; f.Unreadable() != unreadable {
			t.Errorf("%q: unreadable is %v", text, f.Unreadable())
		}
	}
	several := compile(t, Settings{Each: "@this", Points: Points{"t": {Path: "t"}}})
	if all, f, _ := several.ReadSeveral("", []byte("{\"t\":1}\n{\"t\":2}\n"), time.Time{}, nil); len(all) != 2 ||
		f != FaultNone {
		t.Errorf("lines of JSON: %d results, %s", len(all), f)
	}
}
