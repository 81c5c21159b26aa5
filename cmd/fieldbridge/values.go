package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console"
)

// deviceValues is what /devices/NAME answers: the newest readings of a device, as
// read, before anything holds them back.
type deviceValues struct {
	Device string        `json:"device"`
	Now    time.Time     `json:"now"`
	Points []deviceValue `json:"points"`
}

type deviceValue struct {
	Point string    `json:"point"`
	Text  string    `json:"text,omitempty"` // of a good one; a text, so that no digit is lost
	Unit  string    `json:"unit,omitempty"`
	Bad   string    `json:"bad,omitempty"` // the reason
	At    time.Time `json:"at"`
}

// values returns the newest readings of a device. They are kept only while
// someone looks: the first call returns none.
func (g *gateway) values(device string) (any, error) {
	devices, _, _ := g.catalogue.Snapshot()
	i, found := slices.BinarySearchFunc(devices, device, func(d bridge.DeviceInfo, name string) int { return strings.Compare(d.Device, name) })
	if !found {
		return nil, fmt.Errorf("%w %s", console.ErrNoDevice, device)
	}
	points, ok := g.collector.Latest(device)
	if !ok {
		return nil, errors.New("too many other devices are looked at: try again in half a minute")
	}
	units := make(map[string]string)
	for _, p := range devices[i].Points {
		units[p.Name] = p.Unit
	}
	answer := deviceValues{Device: device, Now: time.Now(), Points: []deviceValue{}}
	for _, p := range points {
		v := deviceValue{Point: p.Point, Unit: units[p.Point], At: p.At}
		if p.Value.Good() {
			v.Text = p.Value.String()
		} else {
			v.Bad = p.Value.Reason().String()
		}
		answer.Points = append(answer.Points, v)
	}
	return answer, nil
}

// runValues prints the newest readings of a device of a running gateway.
func runValues(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("values", stderr)
	wait := flags.Duration("wait", 10*time.Second, "wait `TIME` for a reading")
	asJSON := flags.Bool("json", false, "print all of it as JSON")
	rest, code, ok := parseFlags(flags, args, 2)
	if !ok {
		return code
	}
	if len(rest) == 0 {
		fmt.Fprintln(stderr, "fieldbridge values: of which device? 'fieldbridge values DEVICE [FILE]'; 'fieldbridge status' lists them")
		return exitUsage
	}
	dir, err := queueDir(rest[1:])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	data, answer, err := awaitValues(ctx, dir, rest[0], *wait)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge values: %v\n", err)
		return exitFailed
	}
	if *asJSON {
		stdout.Write(data)
		return exitDone
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, p := range answer.Points {
		text := p.Text
		if p.Bad != "" {
			text = "bad: " + p.Bad
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s ago\n", p.Point, text, p.Unit, ago(answer.Now.Sub(p.At)))
	}
	t.Flush()
	return exitDone
}

// awaitValues asks until there is a reading.
func awaitValues(ctx context.Context, dir, device string, wait time.Duration) ([]byte, deviceValues, error) {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	enough := time.After(wait)
	for {
		var answer deviceValues
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		data, err := controlGet(asked, dir, "/devices/"+url.PathEscape(device))
		cancel()
		if err == nil {
			err = json.Unmarshal(data, &answer)
		}
		if err != nil || len(answer.Points) > 0 {
			return data, answer, err
		}
		select {
		case <-ctx.Done():
			return nil, answer, ctx.Err()
		case <-enough:
			return nil, answer, fmt.Errorf("nothing was read of %s in %s: is it polled less often (--wait), or silent ('fieldbridge status')?", device, wait)
		case <-again.C:
		}
	}
}
