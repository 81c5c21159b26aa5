// Package glance reads once all that a gateway's file names, and shows it: what a
// person needs who has just wired a device, before there is a cloud, a certificate
// or a queue. It writes nothing, neither to a device nor to a disk. Where the
// gateway of the file runs, it asks through it.
package glance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/configs/tree"
	"fieldbridge/gateway/control"
	"fieldbridge/pause"
)

// Glance is what is looked at, and how it is shown.
type Glance struct {
	Config   *configs.Config
	Listen   time.Duration // for sensors; 0 is not at all
	JSON     bool          // data is for programs
	Terminal bool          // data is seen on one, which Watch erases before each look
	Data     io.Writer
	People   io.Writer
}

// Load reads the file of a gateway, which need not have northbound. What it needs of this machine to be read must
// be there, its certificates need not.
func Load(ctx context.Context, file, gateway string) (*configs.Loaded, error) {
	l, err := configs.LoadField(ctx, file, gateway)
	if err == nil {
		err = tree.ErrorOf(l.Missing...)
	}
	return l, err
}

// found is all that one look shows.
type found struct {
	Gateway string   `json:"gateway"`
	Running bool     `json:"gateway_runs"` // it was asked
	OK      bool     `json:"ok"`
	Devices []device `json:"devices"`
	Sensors *heard   `json:"sensors,omitempty"`
}

// Once looks once. The error says how much is not as it should be.
func (g *Glance) Once(ctx context.Context) error {
	return g.listening(ctx, func(e *ear) error { return g.look(ctx, e, g.Listen) })
}

// listening does it while it listens to sensors, unless the running gateway does.
func (g *Glance) listening(ctx context.Context, do func(*ear) error) error {
	_, dir, err := g.running(ctx)
	if err != nil {
		return err
	}
	if dir != "" {
		return do(nil)
	}
	e, closed, err := g.open(ctx)
	if err != nil {
		return err
	}
	defer closed()
	return do(e)
}

// look looks once, by e where no gateway runs, for so long at least.
func (g *Glance) look(ctx context.Context, e *ear, atLeast time.Duration) error {
	begin := time.Now()
	status, dir, err := g.running(ctx)
	if err != nil {
		return err
	}
	all := found{Gateway: g.Config.Gateway, Running: dir != ""}
	all.Devices = g.devices(ctx, status, dir)
	if dir == "" && e != nil {
		if left := atLeast - time.Since(begin); left > 0 && !g.JSON {
			fmt.Fprintf(g.People, "listening to sensors for %s\n\n", words.Ago(left))
		}
		pause.Sleep(ctx, atLeast-time.Since(begin))
	}
	if ctx.Err() != nil {
		return errors.New("stopped")
	}
	if e != nil || dir != "" && len(g.Config.Southbound.MQTT.Sensors) > 0 {
		all.Sensors = g.report(ctx, dir, e)
		for _, c := range status.Conditions {
			if strings.HasPrefix(c.Subject, "mqtt ") {
				all.Sensors.Problems = append(all.Sensors.Problems, c.String())
			}
		}
	}
	wrong := all.wrong()
	all.OK = wrong == nil
	if g.JSON {
		return errors.Join(words.JSON(g.Data, all), wrong)
	}
	if all.Sensors != nil {
		all.Sensors.print(g.Data)
	}
	if wrong == nil {
		fmt.Fprintf(g.People, "%s: %s\n", paint.Good(g.People, "all is well"), all.sum())
	}
	return wrong
}

// Watch looks again and again, so long after the look before, until ctx ends.
func (g *Glance) Watch(ctx context.Context, every time.Duration) error {
	out, people := g.Data, g.People
	g.People = io.Discard
	return g.listening(ctx, func(e *ear) error {
		for {
			var page bytes.Buffer
			g.Data = paint.On(&page, out)
			err := g.look(ctx, e, 0)
			if ctx.Err() != nil {
				return nil
			}
			if g.Terminal {
				fmt.Fprint(out, "\x1b[H\x1b[2J") // home, erase all (ECMA-48, 8.3.21 and 8.3.39)
			}
			if !g.JSON {
				fmt.Fprintln(out, time.Now().Format("-- 15:04:05"))
			}
			if _, e := out.Write(page.Bytes()); e != nil {
				return e
			}
			if err != nil && !g.JSON {
				fmt.Fprintln(people, err)
			}
			pause.Sleep(ctx, every)
		}
	})
}

// answerTimeout is how long a running gateway may take to answer.
const answerTimeout = 10 * time.Second

// running asks the gateway of the file how it is; dir is "" if it does not run.
func (g *Glance) running(ctx context.Context) (status control.Status, dir string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	data, err := control.Get(ctx, string(g.Config.Store.Dir), "/status")
	if errors.Is(err, control.ErrNotRunning) {
		return status, "", nil
	}
	if err == nil {
		err = json.Unmarshal(data, &status)
	}
	if err != nil {
		return status, "", fmt.Errorf("the gateway of this file runs and does not say what it holds: %w", err)
	}
	return status, string(g.Config.Store.Dir), nil
}

// wrong says how much is not as it should be; nil is nothing.
func (f *found) wrong() error {
	silent, bad, points := 0, 0, 0
	for _, d := range f.Devices {
		points += len(d.Points)
		if d.Error != "" {
			silent++
		}
		bad += d.bad()
	}
	var parts []string
	if silent > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s not read", silent, count(len(f.Devices), "device is", "devices are")))
	}
	if bad > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s bad", bad, count(points, "point is", "points are")))
	}
	if f.Sensors != nil {
		parts = append(parts, f.Sensors.wrong()...)
	}
	if parts == nil {
		return nil
	}
	return errors.New(strings.Join(parts, "; "))
}

// sum says how much there is.
func (f *found) sum() string {
	var parts []string
	points := 0
	for _, d := range f.Devices {
		points += len(d.Points)
	}
	if len(f.Devices) > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s", count(points, "point", "points"),
			count(len(f.Devices), "device", "devices")))
	}
	if f.Sensors != nil {
		parts = append(parts, count(len(f.Sensors.Devices), "sensor heard", "sensors heard"))
	}
	if parts == nil {
		return "there is nothing to read"
	}
	return strings.Join(parts, "; ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
