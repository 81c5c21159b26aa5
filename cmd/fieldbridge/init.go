package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/first"
	"fieldbridge/cmd/fieldbridge/glance"
	"fieldbridge/cmd/fieldbridge/words"
)

// initFlags are what `init` is told in place of asking.
type initFlags struct {
	first.Starter
	modbus   string
	scan     string // unit ids
	unit     int
	profile  string
	findLine bool
	test     bool
	force    bool
}

// initCommand writes a first configuration, by flags or by asking.
func initCommand() *cobra.Command {
	c := newCommand("init [FILE] [flags]", "write a first configuration, by asking and looking at the device, or by flags",
		1)
	var f initFlags
	f.Bus.SetDefaults()
	flags := c.Flags()
	flags.StringVar(&f.Gateway, "gateway", "", "the `NAME` of the gateway, its AWS thing name")
	flags.StringVar(&f.Endpoint, "endpoint", "", "the `HOST` of the AWS IoT data endpoint")
	flags.StringVar(&f.modbus, "modbus", "",
		"where a Modbus device is: `HOST[:PORT]`, a serial port as /dev/ttyUSB0, or a URL")
	flags.IntVar(&f.Bus.Baud, "baud", f.Bus.Baud, "speed of a serial line")
	flags.StringVar(&f.Bus.Parity, "parity", f.Bus.Parity, "parity of a serial line: even, none or odd")
	flags.IntVar(&f.Bus.DataBits, "data-bits", 0, "data bits of a serial line: 8, or 7, which ascii:// has unless told")
	flags.IntVar(&f.Bus.StopBits, "stop-bits", f.Bus.StopBits, "stop bits of a serial line")
	flags.BoolVar(&f.findLine, "find-line", false, "find speed and parity of a serial line by trying")
	flags.StringVar(&f.scan, "scan", "",
		"look for `UNITS`, as 1-10, and write those that answer, with the profiles that fit")
	flags.IntVar(&f.unit, "unit", 1, "the `ID` of the unit, where there is no --scan")
	flags.StringVar(&f.profile, "profile", "", "the `NAME` of the devices' profile ('fieldbridge profiles' lists them)")
	flags.BoolVar(&f.Sensors, "sensors", false, "listen for MQTT sensors on this machine")
	flags.BoolVar(&f.test, "test", false, "read the device once and show it before the file is written")
	flags.BoolVar(&f.force, "force", false, "replace a file that is there")
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		file := "fieldbridge.yaml"
		if len(args) > 0 {
			file = args[0]
		}
		f.Queue = first.QueueOf(file)
		told := flags.NFlag() > 1 || flags.NFlag() == 1 && !f.force
		if err := mayWrite(file, f.force); err != nil {
			return err
		}
		host, _ := os.Hostname() // "" only means that there is no proposal
		if !told && words.Asks(c.InOrStdin()) {
			a := first.NewAsker(c.InOrStdin(), stderr)
			err := a.Fill(ctx, &f.Starter, thingName(host))
			if err == nil {
				err = a.Agree(ctx, file, func(ctx context.Context) { f.show(ctx, file, stderr) })
			}
			if err != nil {
				return err
			}
		} else if err := f.look(ctx, file, thingName(host), stderr); err != nil {
			return err
		}
		return f.write(ctx, file, stdout, stderr)
	})
}

// look fills in what flags leave to be found.
func (f *initFlags) look(ctx context.Context, file, host string, stderr io.Writer) error {
	if f.Gateway == "" {
		f.Gateway = host
	}
	if err := f.SetBus(f.modbus); err != nil {
		return misuse(fmt.Errorf("--modbus %w", err))
	}
	if f.Bus.URL == "" {
		return nil
	}
	if f.scan == "" {
		f.Devices = []first.Device{{Name: "device-1", Unit: f.unit, Profile: f.profile}}
	}
	if _, err := f.Parse(file); err != nil {
		return misuse(fmt.Errorf("these values do not fit:\n%w", err))
	}
	from, to := f.unit, f.unit
	if f.scan != "" {
		var err error
		if from, to, err = first.Units(f.scan); err != nil {
			return misuse(fmt.Errorf("--scan: %w", err))
		}
	}
	if f.findLine {
		if !f.Serial() {
			return misuse(errors.New("--find-line is for serial ports"))
		}
		if ok, err := f.Line(ctx, from, to, stderr); err != nil || !ok {
			return cmp.Or(err, errors.New("nothing answered, nothing was written"))
		}
	}
	if f.scan != "" {
		units, err := f.Scan(ctx, from, to, stderr)
		if err != nil {
			return err
		}
		if units == nil {
			return errors.New("nothing answered, nothing was written: check the wiring and the power, or --scan other ids")
		}
		f.Take(units, f.profile)
	}
	if f.test {
		f.show(ctx, file, stderr)
	}
	return nil
}

// show reads once what was found and shows it.
func (f *initFlags) show(ctx context.Context, file string, stderr io.Writer) {
	loaded, err := f.Parse(file)
	if err != nil || f.Devices == nil {
		return
	}
	fmt.Fprintln(stderr)
	g := glance.Glance{Config: &loaded.Config, Data: stderr, People: stderr}
	if err := g.Once(ctx); err != nil {
		fmt.Fprintln(stderr, err)
	}
}

// write writes the file, whole or not at all.
func (f *initFlags) write(ctx context.Context, file string, stdout, stderr io.Writer) error {
	if f.Gateway == "" {
		f.Gateway = "gateway-1"
	}
	if _, err := f.Parse(file); err != nil {
		return misuse(fmt.Errorf("these values do not fit:\n%w", err))
	}
	if ctx.Err() != nil {
		return first.ErrStopped
	}
	if err := writeNew(file, f.YAML(), f.force); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\n", file)
	fmt.Fprintf(stderr, "Written. 'fieldbridge test %s' reads it once, 'fieldbridge check %s' tells what the gateway "+
		"will do, and\n"+
		"'fieldbridge run %s' runs it; put certificate and key where the file says for the cloud.\n", file, file, file)
	return nil
}

// mayWrite reports why a file cannot be made.
func mayWrite(file string, force bool) error {
	_, err := os.Lstat(file)
	switch {
	case err == nil && !force:
		return fmt.Errorf("%s is there already: name another file, or say --force to replace it", file)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	return nil
}

// thingName makes a thing name of a host name.
func thingName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return "gateway-1"
	}
	return name
}

// writeNew writes a file beside its place and puts it there when it is whole.
func writeNew(file, text string, force bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".fieldbridge-init-*")
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: this user may not write in the folder %s: name a file elsewhere, or run it as one who may",
			file, filepath.Dir(file))
	}
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // in its place it has another name
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if force {
		return os.Rename(f.Name(), file)
	}
	if err := os.Link(f.Name(), file); err != nil {
		return errors.Join(mayWrite(file, false), err)
	}
	return nil
}
