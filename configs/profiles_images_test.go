package configs

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/modbustest"
)

// imageProfiles are the devices of testdata/devices: a file each, with what the
// source of its profile says of the registers. A line is one of
//
//	only TABLE FIRST COUNT        these are there; all else is refused
//	most N                        a request for more is refused
//	first N                       the source counts from N
//	swap                          the low word comes first
//	requests N                    a cycle on Modbus TCP
//	write POINT VALUE TABLE NUMBER WORD   what a command leaves there
//	TABLE NUMBER TYPE VALUE       what a register holds
//	... = POINT READING           and what is read of it
func imageProfiles(t *testing.T) []deviceProfile {
	t.Helper()
	files, err := filepath.Glob("testdata/devices/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d devices, %v", len(files), err)
	}
	var all []deviceProfile
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseImage(strings.TrimSuffix(filepath.Base(file), ".txt"), string(content))
		if err != nil {
			t.Fatalf("%s:%v", file, err)
		}
		all = append(all, p)
	}
	return all
}

var imageTables = map[string]modbustest.Table{"coil": modbustest.Coil, "discrete": modbustest.Discrete,
	"input": modbustest.Input, "holding": modbustest.Holding}

func parseImage(name, content string) (deviceProfile, error) {
	p := deviceProfile{name: name}
	var set []func(image)
	base, swap, number := 0, false, 0
	for line := range strings.Lines(content) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		registers, reading, _ := strings.Cut(line, "=")
		p.want += strings.TrimSpace(reading) + "\n"
		words := strings.Fields(registers)
		if len(words) == 0 {
			continue
		}
		at := func(n int) int {
			v, err := strconv.Atoi(words[min(n, len(words)-1)])
			if err != nil {
				v = -1
			}
			return v
		}
		table, isTable := imageTables[words[0]]
		switch {
		case words[0] == "only":
			p.ranges = append(p.ranges, legal{imageTables[words[1]], at(2) - base, at(3)})
		case words[0] == "most":
			p.most = at(1)
		case words[0] == "first":
			base = at(1)
		case words[0] == "swap":
			swap = true
		case words[0] == "requests":
			p.requests = at(1)
		case words[0] == "write" && len(words) == 6:
			word, err := strconv.ParseUint(words[5], 16, 16)
			if err != nil {
				return p, fmt.Errorf("%d: %w", number, err)
			}
			p.writes = append(p.writes,
				deviceWrite{words[1], words[2], imageTables[words[3]], at(4) - base, uint16(word)})
		case isTable && len(words) == 4:
			values, err := imageWords(words[2], words[3])
			if err != nil {
				return p, fmt.Errorf("%d: %w", number, err)
			}
			address, bits := at(1), words[2] == "bit"
			set = append(set, func(i image) {
				i = i.at(table, base)
				i.swap = swap && words[2] != "text"
				if bits {
					i.bits(address, values[0] != 0)
				} else {
					i.words(address, values...)
				}
			})
		default:
			return p, fmt.Errorf("%d: %q is no line of an image", number, line)
		}
	}
	p.image = func(i image) {
		for _, s := range set {
			s(i)
		}
	}
	return p, nil
}

// imageWords returns the registers of a value, the high word first.
func imageWords(kind, value string) ([]uint16, error) {
	var bits uint64
	var err error
	size := 16
	if digits := strings.TrimLeft(kind, "abcdefghijklmnopqrstuvwxyz"); digits != "" {
		if size, err = strconv.Atoi(digits); err != nil {
			return nil, err
		}
	}
	switch strings.TrimRight(kind, "0123456789") {
	case "text":
		return modbustest.Text(value), nil
	case "bit":
		bits, err = strconv.ParseUint(value, 2, 1)
	case "words":
		size = 4 * len(value)
		bits, err = strconv.ParseUint(value, 16, 64)
	case "uint":
		bits, err = strconv.ParseUint(value, 10, size)
	case "int":
		var v int64
		v, err = strconv.ParseInt(value, 10, size)
		bits = uint64(v)
	case "float":
		var v float64
		if v, err = strconv.ParseFloat(value, size); size == 32 {
			return modbustest.Float32(float32(v)), err
		}
		return modbustest.Uint64(math.Float64bits(v)), err
	default:
		err = fmt.Errorf("%q is no type", kind)
	}
	words := modbustest.Uint64(bits)
	return words[len(words)-size/16:], err
}

// What a profile lets be written arrives where the source says, as the source
// writes it; more than its greatest value is refused before.
func TestProfilesWrite(t *testing.T) {
	written := 0
	for _, p := range imageProfiles(t) {
		if len(p.writes) == 0 {
			continue
		}
		written++
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			sim := modbustest.New()
			device := loadProfile(t, p.name, "127.0.0.1").Config.Southbound.Modbus.Devices["device"]
			unit := sim.Unit(byte(device.UnitID))
			for _, r := range p.ranges {
				unit.Only(r.table, r.first, r.count)
			}
			source, err := modbus.New(loadProfile(t, p.name, sim.Start(t)).Config.Southbound.Modbus, modbus.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ran, polled := make(chan error, 1), make(chan struct{})
			first := sync.OnceFunc(func() { close(polled) })
			go func() { ran <- source.Run(ctx, func(bridge.Batch, func(error)) { first() }) }()
			<-polled
			for _, w := range p.writes {
				value := bridge.Bool(w.value == "true")
				if v, err := strconv.ParseFloat(w.value, 64); err == nil {
					value = bridge.Float64(v)
					is := source.Write(ctx, bridge.Command{Device: "device", Point: w.point, Value: bridge.Float64(v + 1)})
					if is.Outcome != bridge.Refused {
						t.Errorf("%s: more than %s is %v", w.point, w.value, is)
					}
				}
				is := source.Write(ctx, bridge.Command{Device: "device", Point: w.point, Value: value})
				if is.Outcome != bridge.Done && is.Outcome != bridge.Unconfirmed {
					t.Errorf("%s: %v", w.point, is)
				}
				if got := unit.Get(w.table, w.address, 1)[0]; got != w.word {
					t.Errorf("%s: the device has %#x, want %#x", w.point, got, w.word)
				}
			}
			cancel()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	}
	if written < 9 {
		t.Errorf("only %d profiles are written to", written)
	}
}

// image writes registers by the numbers of a manual.
type image struct {
	unit  *modbustest.Unit
	table modbustest.Table
	base  int  // the manual's number of the first register
	swap  bool // low word first
}

// at returns the image of another table or base.
func (i image) at(t modbustest.Table, base int) image {
	i.table, i.base = t, base
	return i
}

func (i image) words(number int, words ...uint16) {
	if i.swap {
		slices.Reverse(words)
	}
	i.unit.Set(i.table, number-i.base, words...)
}

func (i image) float32(number int, values ...float32) {
	for n, v := range values {
		i.words(number+2*n, modbustest.Float32(v)...)
	}
}

func (i image) float64(number int, values ...float64) {
	for n, v := range values {
		i.words(number+4*n, modbustest.Uint64(math.Float64bits(v))...)
	}
}

func (i image) int16(number int, values ...int) {
	for n, v := range values {
		i.words(number+n, uint16(v))
	}
}

func (i image) int32(number int, values ...int) {
	for n, v := range values {
		i.words(number+2*n, modbustest.Uint32(uint32(v))...)
	}
}

func (i image) int64(number int, values ...int) {
	for n, v := range values {
		i.words(number+4*n, modbustest.Uint64(uint64(v))...)
	}
}

func (i image) bits(number int, values ...bool) {
	for n, v := range values {
		i.unit.SetBit(i.table, number-i.base+n, v)
	}
}
