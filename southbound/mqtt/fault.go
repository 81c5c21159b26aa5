package mqtt

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// faultLog counts what could not be read under one rule, and logs it at most
// once a minute: what a broken sensor sends every second is one line.
type faultLog struct {
	counts [payload.Faults]atomic.Uint64

	mu      sync.Mutex
	logged  time.Time // guarded by mu; the last line
	skipped uint64    // guarded by mu; faults since then
}

const faultLogEvery = time.Minute

func (l *faultLog) add(log *slog.Logger, f payload.Fault, rule, point string, m inlet.Message) {
	l.counts[f].Add(1)
	l.mu.Lock()
	if !l.logged.IsZero() && m.At.Sub(l.logged) < faultLogEvery {
		l.skipped++
		l.mu.Unlock()
		return
	}
	skipped := l.skipped
	l.logged, l.skipped = m.At, 0
	l.mu.Unlock()
	log.Warn("cannot read a sensor's message", "sensor", rule, "topic", m.Topic, "reason", f.String(), "cause",
		f.Text(point),
		"payload", excerpt(m.Payload), "bytes", len(m.Payload), "others_since_last_line", skipped)
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
