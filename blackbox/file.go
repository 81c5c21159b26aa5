package blackbox

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// opening is the first line of a recording in a file, line each that follows.
type opening struct {
	Tape   string    `json:"tape"`
	At     string    `json:"where"`
	Fault  string    `json:"fault,omitempty"`
	Frozen time.Time `json:"frozen"`
}

type line struct {
	At    time.Time `json:"at"`
	Dir   string    `json:"dir"` // "->" is sent, "<-" received, "--" a note
	Conn  uint32    `json:"conn,omitempty"`
	Size  int       `json:"size,omitempty"` // where it is more than what was kept
	Hex   string    `json:"hex,omitempty"`
	Text  string    `json:"text,omitempty"`  // of a note
	Means string    `json:"means,omitempty"` // for people
}

var arrows = map[Direction]string{Sent: "->", Received: "<-", Note: "--"}

// Write writes a recording as JSON lines, for [Read]. means says for people what a
// frame means, of which size bytes were on the way.
func (r Recording) Write(w io.Writer, means func(data []byte, size int) string) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	err := lines.Encode(opening{r.Tape, r.At, r.Fault, r.Frozen})
	for _, f := range r.Frames {
		l := line{At: f.At, Dir: arrows[f.Direction], Conn: f.Conn}
		if f.Direction == Note {
			l.Text = string(f.Data)
		} else {
			l.Hex, l.Means = hex.EncodeToString(f.Data), means(f.Data, f.Size)
		}
		if f.Size != len(f.Data) {
			l.Size = f.Size
		}
		err = errors.Join(err, lines.Encode(l))
	}
	return err
}

// mostFileLine is the longest line of a file, in bytes.
const mostFileLine = 64 << 10

// Read reads the recordings of a file. An error names the line that is wrong; what
// was read before is returned, too.
func Read(from io.Reader) (all []Recording, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, mostFileLine)
	for n := 1; lines.Scan(); n++ {
		var both struct {
			opening
			line
			At    json.RawMessage `json:"at"`
			Where string          `json:"where"`
		}
		if err := json.Unmarshal(lines.Bytes(), &both); err != nil {
			return all, fmt.Errorf("line %d is not of a recording: %w", n, err)
		}
		if both.Tape != "" {
			all = append(all, Recording{Tape: both.Tape, At: both.Where, Fault: both.Fault, Frozen: both.Frozen})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d: a recording begins with a line that has \"tape\" and \"where\"", n)
		}
		f, err := both.frame(both.At)
		if err != nil {
			return all, fmt.Errorf("line %d: %w", n, err)
		}
		last := &all[len(all)-1]
		last.Frames = append(last.Frames, f)
	}
	return all, lines.Err()
}

// frame returns the frame that a line tells of, at its own time.
func (l line) frame(at json.RawMessage) (f Frame, err error) {
	if err := json.Unmarshal(at, &f.At); err != nil {
		return f, errors.New(`"at" is not a time`)
	}
	for d, arrow := range arrows {
		if arrow == l.Dir {
			f.Direction = d
		}
	}
	f.Conn, f.Data = l.Conn, []byte(l.Text)
	switch f.Direction {
	case 0:
		return f, fmt.Errorf(`"dir" is %q, not "->", "<-" or "--"`, l.Dir)
	case Sent, Received:
		if f.Data, err = hex.DecodeString(l.Hex); err != nil {
			return f, fmt.Errorf(`"hex": %w`, err)
		}
	}
	f.Size = max(l.Size, len(f.Data))
	return f, nil
}
