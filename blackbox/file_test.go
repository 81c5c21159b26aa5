package blackbox

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is written is read again, whatever it is.
func TestFile(t *testing.T) {
	r := New()
	plc := r.Tape("bus plc", "tcp://plc:502")
	plc.Say(0, `connect: "refused" <by> it`)
	plc.Add(Sent, 0, []byte{0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1}, 12)
	plc.Add(Received, 7, make([]byte, mostFrame), 2*mostFrame)
	r.Tape("uplink", "a:8883").Say(0, "x")
	r.Freeze("bus plc", "bus_down: it is <off>")
	want := r.Recordings()
	var file bytes.Buffer
	for _, one := range want {
		if err := one.Write(&file, func(data []byte, size int) string { return fmt.Sprint(len(data), size) }); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 3 {
		t.Error(diff)
	}
}

func TestFileThatIsNone(t *testing.T) {
	const begin = `{"tape":"bus b","where":"tcp://b","frozen":"2026-11-28T20:00:00Z"}` + "\n"
	for text, want := range map[string]string{
		"x":                    "line 1 is not of a recording",
		`{"at":"2026"}`:        "line 1: a recording begins with",
		begin + `{"at":5}`:     `line 2: "at" is not a time`,
		begin + `{"dir":"->"}`: `line 2: "at" is not a time`,
		begin + strings.Repeat("x", mostFileLine+1):                           "too long",
		begin + `{"at":"2026-11-28T20:00:00Z","dir":"=>"}`:                    `line 2: "dir" is "=>"`,
		begin + `{"at":"2026-11-28T20:00:00Z","dir":"->","hex":"0"}`:          `line 2: "hex"`,
		begin + `{"at":"2026-11-28T20:00:00Z","dir":"->","hex":["0"]}` + "\n": "line 2 is not of a recording",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"tape":"bus b","where":"tcp://b"}` + "\n" + `{"at":"2026-11-28T20:00:00Z","dir":"<-","hex":"00"}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		var again bytes.Buffer
		for _, r := range all {
			if err := r.Write(&again, func([]byte, int) string { return "" }); err != nil {
				t.Skip(err) // a time beyond the year 9999
			}
		}
		got, err := Read(&again)
		if diff := cmp.Diff(all, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
	})
}

func TestLines(t *testing.T) {
	var l Lines
	for i := range 20000 {
		fmt.Fprintf(&l, "line %d\n", i)
	}
	text := string(l.Text())
	if !strings.HasSuffix(text, "\nline 19999\n") || !strings.HasPrefix(text, "line ") || len(text) > mostText ||
		len(text) < mostText/2-20 {
		t.Errorf("%d bytes: %.20q", len(text), text)
	}
	var want strings.Builder
	var first int
	fmt.Sscanf(text, "line %d", &first)
	for i := first; i < 20000; i++ {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if text != want.String() {
		t.Error("a line is missing or torn")
	}
	if n, err := l.Write(make([]byte, 2*mostText)); n != 2*mostText || err != nil || len(l.Text()) > mostText {
		t.Errorf("one long line: %d, %v, %d", n, err, len(l.Text()))
	}
}
