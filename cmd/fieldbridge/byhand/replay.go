package byhand

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/southbound/modbus/modbustest"
)

// Replay says what recording is played.
type Replay struct {
	File   string // of recordings, or a support file
	Bus    string // "" is the only one of the file
	Listen string // address and port
	Fast   bool   // answers take no time
}

// Run plays it as devices until ctx ends.
func (r Replay) Run(ctx context.Context, people io.Writer) error {
	recording, err := r.choose()
	if err != nil {
		return misuse(err)
	}
	p, err := modbustest.NewReplay(recording)
	if err != nil {
		return misuse(fmt.Errorf("%s: %w", r.File, err))
	}
	p.Fast = r.Fast
	l, err := net.Listen("tcp", r.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another program listens at %s: end it, or choose another port with --listen", r.Listen)
	}
	if err != nil {
		return fmt.Errorf("cannot listen at %s: %w", r.Listen, err)
	}
	scheme := map[modbustest.Framing]string{modbustest.RTU: "rtu+tcp", modbustest.ASCII: "ascii+tcp"}[p.Framing]
	if scheme == "" {
		scheme = "tcp"
	}
	fmt.Fprintf(people, "playing %s, %d requests to units %v until %s", recording.Tape, p.Requests(), p.Units(),
		recording.Frozen.UTC().Format(time.RFC3339))
	if recording.Fault != "" {
		fmt.Fprintf(people, ", when it was %s", recording.Fault)
	}
	fmt.Fprintf(people, "\nin the configuration write url: %s://%s in place of %s. Ctrl-C ends it.\n", scheme, l.Addr(),
		recording.At)
	if err := p.Serve(ctx, l); err != nil {
		return err
	}
	if strange := p.Strange(); len(strange) > 0 {
		fmt.Fprintf(people, "%d requests came that were not recorded (unit, function, data):\n  %s\n", len(strange),
			strings.Join(strange[:min(len(strange), 10)], "\n  "))
	}
	return nil
}

// Recorded returns the names of the buses of which a file has recordings, sorted.
func Recorded(file string) ([]string, error) {
	buses, err := recordedOf(file)
	return slices.Sorted(maps.Keys(buses)), err
}

// recordedOf returns the recordings of a file by bus: of each the newest one with a
// fault.
func recordedOf(file string) (map[string]blackbox.Recording, error) {
	all, err := readRecordings(file)
	if err != nil {
		return nil, err
	}
	buses := make(map[string]blackbox.Recording)
	for _, one := range all {
		bus, ok := strings.CutPrefix(one.Tape, "bus ")
		if before, known := buses[bus]; ok && (!known || newer(one, before)) {
			buses[bus] = one
		}
	}
	return buses, nil
}

// choose returns the recording that is meant.
func (r Replay) choose() (found blackbox.Recording, err error) {
	buses, err := recordedOf(r.File)
	if err != nil {
		return found, err
	}
	names := slices.Sorted(maps.Keys(buses))
	found, ok := buses[r.Bus]
	switch {
	case ok:
		return found, nil
	case len(names) == 0:
		return found, fmt.Errorf("%s has no recording of a bus", r.File)
	case r.Bus == "" && len(names) == 1:
		return buses[names[0]], nil
	case r.Bus == "":
		return found, fmt.Errorf("%s has recordings of %s: choose one with --bus", r.File, strings.Join(names, ", "))
	}
	return found, fmt.Errorf("%s has no recording of bus %q, but of %s", r.File, r.Bus, strings.Join(names, ", "))
}

// newer reports whether a recording is to be played rather than another: one that
// has requests, of a fault, the last.
func newer(a, than blackbox.Recording) bool {
	asks := func(r blackbox.Recording) bool {
		return slices.ContainsFunc(r.Frames, func(f blackbox.Frame) bool { return f.Direction == blackbox.Sent })
	}
	if asks(a) != asks(than) {
		return asks(a)
	}
	if (a.Fault != "") != (than.Fault != "") {
		return a.Fault != ""
	}
	return a.Frozen.After(than.Frozen)
}

// readRecordings reads a file of recordings, or all of those in a support file.
func readRecordings(file string) (all []blackbox.Recording, err error) {
	z, err := zip.OpenReader(file)
	if errors.Is(err, zip.ErrFormat) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		all, err = blackbox.Read(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = z.Close() }()
	for _, member := range z.File {
		if path.Dir(member.Name) != "frames" {
			continue
		}
		m, err := member.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		some, err := blackbox.Read(m)
		if err := errors.Join(err, m.Close()); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, member.Name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}
