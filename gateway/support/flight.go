// Package support is what explains a gateway to somebody who is not there: the
// last frames and packets, frozen when something went wrong and kept on disk, the
// last lines of the log, and the file that packs them with all else that a gateway
// can tell, whether it runs or not.
package support

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/wire"
)

// Pages of the control socket.
const (
	framesPage = "/frames"
	logPage    = "/log"
)

// Keys of the state: the last lines of the log, and the recordings of the newest
// faults, a ring of so many.
const (
	logKey     = "flight.log"
	faultKey   = "flight.fault.%d"
	mostFaults = 8
)

const (
	lookEvery = 2 * time.Second
	// saveEvery is the least time between two recordings of one tape that are put
	// on disk: what flaps must not wear the flash.
	saveEvery = 10 * time.Minute
)

// Flight watches a gateway and freezes what its recorder has when something goes
// wrong.
type Flight struct {
	Recorder   *blackbox.Recorder
	Lines      *blackbox.Lines // the last lines of the log
	Conditions func() []condition.Condition
	Devices    func() []bridge.DeviceStatus
	State      bridge.State
	Log        *slog.Logger

	known map[string]bool      // conditions of the last look
	saved map[string]time.Time // when a tape was last put on disk
	wait  map[string]bool      // tapes that were frozen and not put on disk
	slot  int                  // of the next one
}

// Watch freezes the tapes of what begins to be wrong, and puts them on disk, until
// ctx ends; then the last lines of the log, too.
func (f *Flight) Watch(ctx context.Context) {
	f.known, f.saved, f.wait = make(map[string]bool), make(map[string]time.Time), make(map[string]bool)
	tick := pause.NewLook(lookEvery)
	defer tick.Stop()
	for {
		f.look()
		select {
		case <-ctx.Done():
			f.saved = nil
			f.save()
			f.put(logKey, f.Lines.Text())
			return
		case <-tick.C:
		}
	}
}

// look freezes the tapes of conditions that are new.
func (f *Flight) look() {
	here := make(map[string]bool)
	for _, c := range f.Conditions() {
		key := c.Code + " " + c.Subject
		here[key] = true
		if f.known[key] {
			continue
		}
		if tape := f.tapeOf(c.Subject); f.Recorder.Freeze(tape, c.Code+" of "+c.String()) {
			f.wait[tape] = true
		}
	}
	f.known = here
	f.save()
}

// tapeOf returns the tape that shows what happened to the subject of a condition.
func (f *Flight) tapeOf(subject string) string {
	first, rest, _ := strings.Cut(subject, " ")
	name, _, _ := strings.Cut(rest, " ")
	switch first {
	case "identity", "commands", "topic":
		return "uplink"
	case "mqtt":
		return "mqtt " + name
	case "device":
		for _, d := range f.Devices() {
			if d.Device != rest {
				continue
			}
			if via := strings.Fields(d.Via); len(via) > 1 && via[0] == "modbus" {
				return "bus " + via[1]
			} else if len(via) > 1 {
				return "mqtt " + via[1]
			}
		}
	}
	return subject
}

// save puts frozen tapes on disk that were not put there lately.
func (f *Flight) save() {
	if len(f.wait) == 0 {
		return
	}
	for _, r := range f.Recorder.Recordings() {
		if r.Fault == "" || !f.wait[r.Tape] || time.Since(f.saved[r.Tape]) < saveEvery {
			continue
		}
		delete(f.wait, r.Tape)
		if f.saved != nil {
			f.saved[r.Tape] = time.Now()
		}
		var text bytes.Buffer
		_ = r.Write(&text, meaning(r)) // to memory
		f.put(fmt.Sprintf(faultKey, f.slot%mostFaults), text.Bytes())
		f.slot++
	}
}

// put puts a text on disk. A disk that does not take it is told by the state.
func (f *Flight) put(key string, text []byte) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(text)
	_ = z.Close()
	if err := f.State.Put(key, packed.Bytes()); err != nil {
		f.Log.Debug("what was recorded is not on disk", "err", err)
	}
}

// get returns a text that was put on disk, nil if there is none.
func get(state bridge.State, key string) ([]byte, error) {
	packed, err := state.Get(key)
	if err != nil || packed == nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, 1<<20))
}

// meaning says what the frames of a recording mean.
func meaning(r blackbox.Recording) func([]byte, int) string {
	scheme, host, isURL := strings.Cut(r.At, "://")
	if !strings.HasPrefix(r.Tape, "bus ") || !isURL {
		return blackbox.Outline
	}
	at := wire.Address{Scheme: scheme, Host: host}
	return func(data []byte, _ int) string { return wire.Meaning(at, data) }
}

// Handle makes mux tell what is recorded and logged, as hide leaves it.
func (f *Flight) Handle(mux *http.ServeMux, hide func(string) string) {
	mux.HandleFunc("GET "+framesPage, func(w http.ResponseWriter, _ *http.Request) {
		for _, r := range f.Recorder.Recordings() {
			var text bytes.Buffer
			_ = r.Write(&text, meaning(r))
			_, _ = io.WriteString(w, hide(text.String())) // who asked may be gone
		}
	})
	mux.HandleFunc("GET "+logPage, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(f.Lines.Text()) })
}
