package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fieldbridge/bridge"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
)

// modbusNotes are shown by 'fieldbridge help modbus'.
const modbusNotes = `  decode 42AB 47AE                     registers that are given in hexadecimal
  scan URL --line                      which baud rate and parity a serial line has
  scan URL --sunspec                   which SunSpec models a unit has, and where
  scan URL --addresses holding:0-999   which addresses a unit answers

URL is tcp://HOST[:PORT], tls://HOST[:PORT], rtu:///dev/ttyUSB0 or rtu+tcp://HOST:PORT; with --via the name of a bus,
too.
ADDRESS is holding:100, input:0, coil:3, discrete:7 (zero-based) or 40101 as manuals count.`

// modbusCommand asks devices by hand.
func modbusCommand() *cobra.Command {
	return group("modbus COMMAND URL ...", "ask devices by hand: read, write, find out what is there and how it is meant",
		modbusNotes,
		modbusReadCommand(), modbusWriteCommand(), modbusDecodeCommand(), modbusScanCommand())
}

// modbusFlags are the flags of the subcommands of modbus.
type modbusFlags struct {
	*pflag.FlagSet
	stderr  io.Writer
	unit    int
	bus     modbus.Bus
	timeout time.Duration
	trace   bool
	via     string
	asJSON  bool
}

// newModbusFlags adds to a command those that all have: how to reach a unit.
func newModbusFlags(c *cobra.Command, timeout time.Duration) *modbusFlags {
	f := &modbusFlags{FlagSet: c.Flags()}
	f.bus.SetDefaults()
	f.IntVar(&f.unit, "unit", 1, "the `ID` of the unit")
	f.DurationVar(&f.timeout, "timeout", timeout, "how long to wait for an answer")
	f.IntVar(&f.bus.Baud, "baud", f.bus.Baud, "speed of a serial line")
	f.StringVar(&f.bus.Parity, "parity", f.bus.Parity, "parity of a serial line: even, none or odd")
	f.IntVar(&f.bus.StopBits, "stop-bits", f.bus.StopBits, "stop bits of a serial line")
	f.BoolVar(&f.trace, "trace", false, "print each frame in hexadecimal and what it means")
	f.StringVar(&f.via, "via", "", "ask over the line of the running gateway that this `FILE` or queue directory is of")
	f.BoolVar(&f.asJSON, "json", false, "print for programs")
	return f
}

// does makes c do that if it has at least so many arguments.
func (f *modbusFlags) does(c *cobra.Command, least int, do run) *cobra.Command {
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		f.stderr = stderr
		if len(args) < least {
			return misuse(fmt.Errorf("usage: fieldbridge modbus %s: -h tells more", c.Use))
		}
		return do(ctx, args, stdout, stderr)
	})
}

// master returns a master for the bus at url.
func (f *modbusFlags) master(ctx context.Context, url string) (*commission.Master, error) {
	if f.unit < 0 || f.unit > 255 {
		return nil, fmt.Errorf("unit %d: ids are 1 to 247, on TCP 0 to 255", f.unit)
	}
	o, err := f.options(ctx, url)
	if err != nil {
		return nil, err
	}
	f.bus.URL = url
	f.bus.Timeout = setting.Duration(f.timeout)
	if o.Relay != nil {
		return commission.Open(wire.Place{}, f.timeout, o), nil
	}
	place, err := f.bus.Place()
	if err != nil {
		return nil, fmt.Errorf("bus %w", err)
	}
	return commission.Open(place, f.timeout, o), nil
}

func (f *modbusFlags) options(ctx context.Context, bus string) (commission.Options, error) {
	var o commission.Options
	if f.trace {
		o.Trace = func(line string) { fmt.Fprintln(f.stderr, line) }
	}
	if f.via != "" {
		dir, err := queueDir(ctx, []string{f.via})
		if err != nil {
			return o, err
		}
		o.Relay = func(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
			return control.RelayPage.Ask(ctx, dir, control.Relay{Bus: bus, Unit: unit, PDU: pdu})
		}
	}
	return o, nil
}

// advised adds to an error of asking the bus at url what to do about it.
func advised(err error, url string) error {
	if advice := commission.Advice(err, url); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

// pointAt makes the point at an address.
type pointAt func(address string) (modbus.Point, error)

// point adds the flags that say how registers are meant. What it returns is of use
// after parsing.
func (f *modbusFlags) point() pointAt {
	var p modbus.Point
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
	return func(address string) (modbus.Point, error) {
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
	c := newCommand("read URL ADDRESS [flags]", "read one value, --count of them, or a range as holding:0-9", 2)
	f := newModbusFlags(c, time.Second)
	count := f.Int("count", 1, "how many values, one after the other")
	point := f.point()
	return f.does(c, 2, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		return f.read(ctx, args, *count, point, stdout)
	})
}

// read reads count values from args, a URL and an address.
func (f *modbusFlags) read(ctx context.Context, args []string, count int, point pointAt, stdout io.Writer) error {
	address, last := args[1], -1
	if first, end, ok := strings.Cut(address, "-"); ok {
		address = first
		var err error
		if last, err = strconv.Atoi(end); err != nil || count != 1 {
			return misuse(fmt.Errorf("%q is not a range: write holding:0-9, or --count", args[1]))
		}
	}
	p, err := point(address)
	if err == nil && last >= 0 {
		count, err = valuesTo(p, address, last)
	}
	if err != nil {
		return misuse(err)
	}
	m, err := f.master(ctx, args[0])
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	field, err := p.Field()
	if err != nil {
		return advised(err, args[0])
	}
	values, err := m.Read(ctx, f.unit, field, count)
	if f.asJSON {
		out := []map[string]any{}
		for _, v := range values {
			out = append(out, map[string]any{"address": v.Address, "value": jsonValue(v.Value)})
		}
		if err := printJSON(stdout, out); err != nil {
			return err
		}
	} else {
		for _, v := range values {
			fmt.Fprintf(stdout, "%d\t%v\n", v.Address, v.Value)
		}
	}
	if err != nil {
		return advised(err, args[0])
	}
	return nil
}

// valuesTo returns how many values like p there are from address to last, which
// is the last register and counts as address does.
func valuesTo(p modbus.Point, address string, last int) (int, error) {
	f, err := p.Field()
	if err != nil {
		return 0, err
	}
	words := f.Words // 1 of a coil or discrete input
	base := 10       // a reference, with its leading zeros
	if _, number, ok := strings.Cut(address, ":"); ok {
		address, base = number, 0
	}
	first, err := strconv.ParseInt(address, base, 32)
	if n := (last - int(first) + 1) / words; err == nil && n > 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%s to %d has no room for a value of %d registers", address, last, words)
}

// jsonValue returns v as JSON has it; a bad value is null.
func jsonValue(v bridge.Value) any {
	switch v.Kind() {
	case bridge.KindBad:
		return nil
	case bridge.KindString:
		return v.Str()
	}
	return json.RawMessage(v.AppendNumber(nil))
}

func modbusWriteCommand() *cobra.Command {
	c := newCommand("write URL ADDRESS VALUE [flags]", "write one value, read it back and compare", 3)
	f := newModbusFlags(c, time.Second)
	way := f.String("write", "auto", "functions to use: auto, single (5 and 6) or multiple (15 and 16)")
	back := f.Bool("read-modify-write", false, "a part of a register may be set by writing all of it back")
	point := f.point()
	return f.does(c, 3, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		p, err := point(args[1])
		if err != nil {
			return misuse(err)
		}
		p.Writable = &modbus.Writable{ReadModifyWrite: *back}
		return f.write(ctx, args, p, *way, stderr)
	})
}

// write writes to p; args are a URL, an address and the value.
func (f *modbusFlags) write(ctx context.Context, args []string, p modbus.Point, way string, stderr io.Writer) error {
	m, err := f.master(ctx, args[0])
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	field, err := p.Field()
	if err != nil {
		return advised(err, args[0])
	}
	w, err := m.Write(ctx, f.unit, field, setup.ParseValue(args[2]), way)
	if err == nil && w.Outcome != bridge.Done {
		err = errors.New(w.Text)
	}
	if err != nil {
		return advised(err, args[0])
	}
	fmt.Fprintln(stderr, "written, read back and the same")
	return nil
}

func modbusDecodeCommand() *cobra.Command {
	c := newCommand("decode URL ADDRESS | 42AB 47AE ... [flags]", "registers, read or given, in all types and orders", 125)
	f := newModbusFlags(c, time.Second)
	count := f.Int("count", 4, "how many registers to read")
	return f.does(c, 1, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		return f.decode(ctx, args, *count, stdout)
	})
}

// decode prints what registers may mean: those that args are, or that stand where
// they name.
func (f *modbusFlags) decode(ctx context.Context, rest []string, count int, stdout io.Writer) error {
	data, err := hex.DecodeString(strings.Join(rest, ""))
	if err != nil || len(data)%2 != 0 {
		if len(rest) != 2 || !strings.Contains(rest[0], ":") && f.via == "" {
			return misuse(errors.New("neither a URL and an address nor registers of four hexadecimal digits each"))
		}
		if data, err = f.registers(ctx, rest[0], rest[1], count); err != nil {
			return err
		}
	}
	if f.asJSON {
		out := []map[string]any{}
		for _, i := range point.Interpret(data) {
			out = append(out, map[string]any{"type": i.Type, "order": i.Order, "value": jsonValue(i.Value)})
		}
		return printJSON(stdout, out)
	}
	printInterpretations(stdout, data)
	return nil
}

// registers reads registers for decode.
func (f *modbusFlags) registers(ctx context.Context, url, address string, count int) ([]byte, error) {
	p, err := setup.ParseAddress(address)
	if err != nil {
		return nil, misuse(err)
	}
	m, err := f.master(ctx, url)
	if err != nil {
		return nil, misuse(err)
	}
	defer m.Close()
	field, err := p.Field()
	if err != nil {
		return nil, advised(err, url)
	}
	values, err := m.Read(ctx, f.unit, field, count)
	if err != nil {
		return nil, advised(err, url)
	}
	var data []byte
	for _, v := range values {
		data = append(data, v.Data...)
	}
	if data == nil {
		return nil, misuse(errors.New("coils and discrete inputs are single bits: there is nothing to decode"))
	}
	return data, nil
}

// printInterpretations prints one type a line, its orders beside each other.
func printInterpretations(stdout io.Writer, data []byte) {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "registers\t% X\n", data)
	last := ""
	for _, i := range point.Interpret(data) {
		if i.Type != last {
			if last != "" {
				fmt.Fprintln(w)
			}
			fmt.Fprint(w, i.Type)
			last = i.Type
		}
		value := i.Value.String()
		if i.Value.Kind() == bridge.KindString {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(w, "\t%s %s", i.Order, value)
	}
	fmt.Fprintln(w)
	_ = w.Flush()
}
