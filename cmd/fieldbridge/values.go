package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
)

// valuesCommand prints the newest readings of devices of a running gateway.
func valuesCommand() *cobra.Command {
	c := newCommand("values [DEVICE] [FILE | DIR] [--watch] [--wait 10s] [--raw] [--json]",
		"print the newest readings of a device of a running gateway, or of all", 2)
	var v valuesAsked
	c.Flags().BoolVar(&v.watch, "watch", false, "print them again each second, until Ctrl-C")
	c.Flags().DurationVar(&v.wait, "wait", 10*time.Second, "wait `TIME` for a reading of DEVICE")
	c.Flags().BoolVar(&v.raw, "raw", false, "print what stands in the registers, too; of bad ones it is always")
	c.Flags().BoolVar(&v.json, "json", false, "print all of it as JSON")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) (err error) {
		if len(args) == 2 || len(args) == 1 && !isPlace(args[0]) {
			v.device, args = args[0], args[1:]
		}
		if v.dir, err = queueDir(ctx, args); err != nil {
			return err
		}
		return v.print(ctx, stdout)
	})
}

// isPlace reports whether an argument says where a gateway is, and not which of its
// devices is meant.
func isPlace(arg string) bool {
	_, err := os.Stat(arg)
	return err == nil || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml") ||
		strings.ContainsRune(arg, os.PathSeparator)
}

// valuesAsked is what values are asked for.
type valuesAsked struct {
	device, dir      string // device "" is all
	wait             time.Duration
	watch, raw, json bool
}

// watchEvery is how often --watch prints.
const watchEvery = time.Second

// print prints them once, or again and again until ctx ends.
func (v valuesAsked) print(ctx context.Context, stdout io.Writer) error {
	if !v.watch {
		return v.once(ctx, paint.On(stdout, stdout))
	}
	again := time.NewTicker(watchEvery)
	defer again.Stop()
	for {
		var screen bytes.Buffer // shown at once, so that it does not flicker
		switch {
		case words.Terminal(stdout):
			screen.WriteString("\x1b[H\x1b[2J")
		case !v.json:
			fmt.Fprintln(&screen, time.Now().Format("-- 15:04:05"))
		}
		err := v.once(ctx, paint.On(&screen, stdout))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := stdout.Write(screen.Bytes()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// once prints the newest readings.
func (v valuesAsked) once(ctx context.Context, stdout io.Writer) error {
	if v.device == "" {
		return v.all(ctx, stdout)
	}
	data, answer, err := awaitValues(ctx, v.dir, v.device, v.wait)
	if err != nil {
		return err
	}
	if v.json {
		_, err := stdout.Write(data)
		return err
	}
	tell.Values(stdout, []control.Values{answer}, v.raw)
	return nil
}

// all prints the newest readings of all devices.
func (v valuesAsked) all(ctx context.Context, stdout io.Writer) error {
	data, err := askDir(ctx, "/status", v.dir)
	var s control.Status
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return err
	}
	all := make([]control.Values, len(s.Devices))
	for i, d := range s.Devices {
		if _, all[i], err = deviceValues(ctx, v.dir, d.Device); err != nil {
			return err
		}
	}
	switch {
	case v.json:
		return words.JSON(stdout, all)
	case len(all) == 0:
		return errors.New("the gateway has no device: nothing is configured, or no sensor has sent anything yet " +
			"('fieldbridge sensors' lists what came)")
	}
	tell.Values(stdout, all, v.raw)
	return nil
}

// awaitValues asks until there is a reading.
func awaitValues(ctx context.Context, dir, device string, wait time.Duration) ([]byte, control.Values, error) {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	enough := time.After(wait)
	for {
		data, answer, err := deviceValues(ctx, dir, device)
		if err != nil || len(answer.Points) > 0 {
			return data, answer, err
		}
		select {
		case <-ctx.Done():
			return nil, answer, ctx.Err()
		case <-enough:
			return nil, answer, fmt.Errorf("nothing was read of %s in %s: is it polled less often (--wait), or silent "+
				"('fieldbridge status')?", device, wait)
		case <-again.C:
		}
	}
}

// deviceValues asks for the newest readings of a device.
func deviceValues(ctx context.Context, dir, device string) (data []byte, answer control.Values, err error) {
	data, err = askDir(ctx, "/devices/"+url.PathEscape(device), dir)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	return data, answer, err
}
