package set

import (
	"errors"
	"fmt"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Written returns what is known of the write.
func (w *Writing) Written() bridge.Written {
	switch w.sent {
	case unsent:
		is := bridge.NotWritten(w.err)
		is.Text = "nothing was written: " + is.Text
		return is
	case refused:
		return bridge.Written{Outcome: bridge.Refused, Text: w.err.Error()}
	}
	if w.shown {
		is := bridge.Written{Outcome: bridge.Done}
		if w.err != nil {
			is.Text = "the device has the value, though: " + w.err.Error()
		}
		return is
	}
	is := bridge.Written{Outcome: bridge.Unconfirmed}
	if w.sent == lost {
		is.Outcome = bridge.Failed
	}
	var echo *wire.EchoError
	by := w.field.Writable.By
	is.Enough = w.sent >= odd && (w.all || by == point.ByNone || by == point.ByEcho && !errors.As(w.err, &echo))
	is.Text = w.text()
	return is
}

// text says what was seen of a write that was sent.
func (w *Writing) text() string {
	var parts []string
	switch {
	case w.sent >= odd:
		parts = append(parts, "written")
	case w.err != nil:
		parts = append(parts, w.err.Error())
	}
	if w.sent == odd {
		parts = append(parts, w.err.Error())
	}
	what := "the device"
	if shown := w.field.Writable.Shown; shown != nil {
		what = shown.Name
	}
	switch {
	case w.all:
		parts = append(parts, "to all units of the line, of which none answers")
	case w.field.Confirming() == nil && w.sent >= odd:
		parts = append(parts, "nothing is read back")
	case w.blind != nil && w.sent == lost:
		parts = append(parts, fmt.Sprintf("and not read back: %v", w.blind))
	case w.blind != nil:
		parts = append(parts, fmt.Sprintf("but not read back: %v", w.blind))
	case w.looks > 0 && !w.seen.Good():
		parts = append(parts, fmt.Sprintf("but %s has no value: %v", what, w.seen))
	case w.looks > 0:
		parts = append(parts, fmt.Sprintf("but %s has another value: %v", what, w.seen))
	}
	return strings.Join(parts, ", ")
}
