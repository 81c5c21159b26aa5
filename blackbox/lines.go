package blackbox

import (
	"bytes"
	"sync"
)

// Lines keeps the last lines that were written to it. It is safe for concurrent
// use; the zero Lines is empty.
type Lines struct {
	mu   sync.Mutex
	text []byte // guarded by mu; between half of mostText and all of it, once there is so much
}

// mostText is how much is kept, in bytes.
const mostText = 128 << 10

// Write implements [io.Writer]; it never fails.
func (l *Lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(text)
	text = text[max(0, n-mostText/2):]
	if len(l.text)+len(text) > mostText {
		rest := l.text[len(l.text)-mostText/2:]
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			rest = rest[end+1:]
		}
		l.text = append(l.text[:0], rest...)
	}
	l.text = append(l.text, text...)
	return n, nil
}

// Text returns what is kept, the oldest line first.
func (l *Lines) Text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text)
}
