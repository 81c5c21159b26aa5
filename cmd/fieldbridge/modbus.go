package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/byhand"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/gateway/control"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// modbusNotes are shown by 'fieldbridge help modbus'.
const modbusNotes = `  read FILE boiler.supply_temp         a point by the words of a configuration, or a device
  decode 42AB 47AE                     registers that are given in hexadecimal
  decode URL input:100 --expect 72     in which types, orders and scales that is 72
  scan URL --line                      which baud rate and parity a serial line has
  scan URL --sunspec                   which SunSpec models a unit has, and where
  scan URL --addresses holding:0-999   which addresses a unit answers
  raw URL 2b 0e 01 00                  any request: function and data in hexadecimal

Where a gateway runs on this machine that holds the line or the device, and that you may ask, it asks.
URL is tcp://HOST[:PORT], tls://HOST[:PORT], udp://HOST[:PORT], rtu:///dev/ttyUSB0, rtu+tcp://HOST:PORT,
ascii:///dev/ttyUSB0 or ascii+tcp://HOST:PORT; with --via the name of a bus, too.
ADDRESS is holding:100, input:0, coil:3, discrete:7 (zero-based) or 40101 as manuals count.`

// modbusCommand asks devices by hand.
func modbusCommand() *cobra.Command {
	return group("modbus COMMAND URL ...", "ask devices by hand: read, write, find out what is there and how it is meant",
		modbusNotes,
		modbusReadCommand(), modbusWriteCommand(), modbusDecodeCommand(), modbusScanCommand(),
		modbusRawCommand(), modbusReplayCommand())
}

// modbusFlags are the flags of the subcommands of modbus.
type modbusFlags struct {
	*pflag.FlagSet
	byhand.Desk
	via     string
	gateway string
}

// newModbusFlags adds to a command those that all have: how to reach a unit.
func newModbusFlags(c *cobra.Command, timeout time.Duration) *modbusFlags {
	f := &modbusFlags{FlagSet: c.Flags()}
	f.Bus.SetDefaults()
	f.IntVar(&f.Unit, "unit", 1, "the `ID` of the unit")
	f.DurationVar(&f.Timeout, "timeout", timeout, "how long to wait for an answer")
	f.IntVar(&f.Bus.Baud, "baud", f.Bus.Baud, "speed of a serial line")
	f.StringVar(&f.Bus.Parity, "parity", f.Bus.Parity, "parity of a serial line: even, none or odd")
	f.IntVar(&f.Bus.DataBits, "data-bits", 0, "data bits of a serial line: 8, or 7, which ascii:// has unless told")
	f.IntVar(&f.Bus.StopBits, "stop-bits", f.Bus.StopBits, "stop bits of a serial line")
	f.BoolVar(&f.Trace, "trace", false, "print each frame in hexadecimal and what it means")
	f.StringVar(&f.via, "via", "", "ask over the line of the running gateway that this `FILE` or queue directory is of")
	f.BoolVar(&f.JSON, "json", false, "print for programs")
	return f
}

// does makes c do that if it has at least so many arguments.
func (f *modbusFlags) does(c *cobra.Command, least int,
	do func(ctx context.Context, args []string) error) *cobra.Command {
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
		f.Data, f.People = paint.On(stdout, stdout), stderr
		if len(args) < least {
			return misuse(fmt.Errorf("usage: fieldbridge modbus %s: -h tells more", c.Use))
		}
		if f.via != "" {
			if f.Via, err = queueDir(ctx, []string{f.via}); err != nil {
				return err
			}
		}
		if f.via == "" && strings.Contains(args[0], "://") {
			if dir, bus := control.Holding(ctx, args[0]); dir != "" {
				fmt.Fprintf(stderr, "%s is asked through the gateway that holds it, with its settings (queue %s)\n", bus, dir)
				f.Via, args[0] = dir, bus
			}
		}
		err = do(ctx, args)
		var m byhand.Misuse
		if errors.As(err, &m) {
			return usageError{error: err, file: m.File}
		}
		return err
	})
}

// ofFile adds the flag of commands that take a file.
func (f *modbusFlags) ofFile() {
	f.StringVar(&f.gateway, "gateway", "", "the `NAME` of the gateway in a fleet file")
}

// ofAddress are the flags that say what a file says.
var ofAddress = []string{"unit", "baud", "parity", "data-bits", "stop-bits", "type", "order", "length", "bits", "bit",
	"byte", "scale", "offset", "count", "write", "read-modify-write"}

// of returns what of a file is meant, if the first argument is one.
func (f *modbusFlags) of(args []string) (of byhand.Of, file bool, err error) {
	if f.via != "" || !byhand.NamesFile(args[0]) {
		return of, false, nil
	}
	for _, name := range ofAddress {
		if f.Changed(name) {
			return of, true, misuse(fmt.Errorf(
				"--%s beside a file: the file says it; name a URL and an address to say it here", name))
		}
	}
	of = byhand.Of{File: args[0], Gateway: f.gateway, Name: args[1]}
	if f.Changed("timeout") {
		of.Timeout = f.Timeout
	}
	return of, true, nil
}

// point adds the flags that say how registers are meant. What it returns is of use
// after parsing.
func (f *modbusFlags) point() byhand.PointAt {
	var p setup.Point
	f.StringVar(&p.Type, "type", "", "uint16 (default), int16, uint32, float32, float64, bcd16, string ...")
	f.StringVar(&p.Order, "order", "", "ABCD (default), CDAB, BADC or DCBA")
	f.IntVar(&p.Length, "length", 0, "of a string, in bytes")
	f.StringVar(&p.Bits, "bits", "", "some bits of a register, as 4-7")
	f.StringVar(&p.Byte, "byte", "", "the half of a register that an int8 or uint8 is in: low or high")
	bit := f.Int("bit", -1, "one bit of a register, 0 is the least significant")
	decimal := func(given **bridge.Decimal) func(string) error {
		return func(text string) error {
			*given = new(bridge.Decimal)
			return (*given).UnmarshalText([]byte(text))
		}
	}
	f.Func("scale", "multiply by this `NUMBER`", decimal(&p.Scale))
	f.Func("offset", "then add this `NUMBER`", decimal(&p.Offset))
	return func(address string) (setup.Point, error) {
		at, err := setup.ParseAddress(address)
		if err != nil {
			return p, err
		}
		p.Coil, p.Discrete, p.Input, p.Holding, p.Ref = at.Coil, at.Discrete, at.Input, at.Holding, at.Ref
		if *bit >= 0 {
			p.Bit = bit
		}
		return p, nil
	}
}

func modbusReadCommand() *cobra.Command {
	c := newCommand("read FILE DEVICE[.POINT] | URL ADDRESS [flags]",
		"read a device of a file, or by address one value, --count of them, or a range as holding:0-9", 2)
	f := newModbusFlags(c, time.Second)
	f.ofFile()
	every := f.Duration("every", 0, "read again each `TIME`, until Ctrl-C")
	count := f.Int("count", 1, "how many values, one after the other")
	point := f.point()
	return f.does(c, 2, func(ctx context.Context, args []string) error {
		of, file, err := f.of(args)
		if file && err == nil {
			return f.ReadOf(ctx, of, *every)
		} else if err != nil {
			return err
		}
		return f.Read(ctx, args[0], args[1], *count, point, *every)
	})
}

func modbusWriteCommand() *cobra.Command {
	c := newCommand("write FILE DEVICE.POINT VALUE | URL ADDRESS VALUE [flags]",
		"write one value, read it back and compare: a point of a file within its limits, or by address", 3)
	f := newModbusFlags(c, time.Second)
	f.ofFile()
	yes := f.Bool("yes", false, "write without asking")
	way := f.String("write", "auto", "functions to use: auto, single (5 and 6) or multiple (15 and 16)")
	back := f.Bool("read-modify-write", false, "a part of a register may be set by writing all of it back")
	point := f.point()
	return f.does(c, 3, func(ctx context.Context, args []string) error {
		of, file, err := f.of(args)
		if err != nil {
			return err
		}
		if !*yes {
			f.Ask = c.InOrStdin()
		}
		if file {
			return f.WriteOf(ctx, of, args[2])
		}
		p, err := point(args[1])
		if err != nil {
			return misuse(err)
		}
		p.Writable = &permit.Writable{ReadModifyWrite: *back}
		return f.Write(ctx, args[0], p, args[2], *way)
	})
}

func modbusDecodeCommand() *cobra.Command {
	c := newCommand("decode URL ADDRESS | 42AB 47AE ... [flags]", "registers, read or given, in all types and orders", 125)
	f := newModbusFlags(c, time.Second)
	count := f.Int("count", 4, "how many registers to read")
	expect := f.String("expect", "", "the `NUMBER` that the device shows: rank the ways to read it, as lines for a file")
	return f.does(c, 1, func(ctx context.Context, args []string) error { return f.Decode(ctx, args, *count, *expect) })
}

func modbusScanCommand() *cobra.Command {
	c := newCommand("scan URL [flags]", "which units answer, and what they are, or which settings and addresses", 1)
	f := newModbusFlags(c, commission.ScanTimeout)
	var what byhand.Scan
	f.StringVar(&what.Units, "units", "1-247", "the `FIRST-LAST` unit ids to ask")
	f.BoolVar(&what.Line, "line", false, "try the usual baud rates and parities of a serial line")
	f.StringVar(&what.Addresses, "addresses", "", "find which addresses --unit answers: `TABLE:FIRST-LAST`")
	f.BoolVar(&what.SunSpec, "sunspec", false, "walk the list of models of --unit")
	return f.does(c, 1, func(ctx context.Context, args []string) error { return f.Scan(ctx, args[0], what) })
}

func modbusReplayCommand() *cobra.Command {
	c := newCommand("replay FILE [--bus NAME] [--listen 127.0.0.1:5020]",
		"play what a gateway recorded of a bus as its devices: FILE is of 'fieldbridge support', or one of those in it", 1)
	var r byhand.Replay
	c.Flags().StringVar(&r.Bus, "bus", "", "the `NAME` of the bus, if the file has several")
	c.Flags().StringVar(&r.Listen, "listen", "127.0.0.1:5020", "`ADDRESS` and port")
	c.Flags().BoolVar(&r.Fast, "fast", false, "answer at once, not after the time that it took")
	return does(c, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which file? 'fieldbridge modbus replay FILE'"))
		}
		r.File = args[0]
		err := r.Run(ctx, stderr)
		var m byhand.Misuse
		if errors.As(err, &m) {
			return misuse(err)
		}
		return err
	})
}

func modbusRawCommand() *cobra.Command {
	c := newCommand("raw URL PDU [flags]", "send any request, as 03 00 64 00 02, and print its answer", 126)
	f := newModbusFlags(c, time.Second)
	yes := f.Bool("yes", false, "send what may write without asking")
	return f.does(c, 2, func(ctx context.Context, args []string) error {
		if !*yes {
			f.Ask = c.InOrStdin()
		}
		return f.Raw(ctx, args[0], strings.Join(args[1:], ""))
	})
}
