package wire_test

import (
	"errors"
	"math/bits"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// TestUnnumbered: devices whose answers do not repeat the transaction id are read, and
// what is late, double or another's is taken for the answer no more than on a line.
func TestUnnumbered(t *testing.T) {
	own := uint16(0)
	counted := func(_ modbustest.Request, a *modbustest.Answer) { own++; a.Transaction = own + 40000 }
	for name, ids := range map[string]modbustest.Behaviour{
		"0":       func(_ modbustest.Request, a *modbustest.Answer) { a.Transaction = 0 },
		"swapped": func(_ modbustest.Request, a *modbustest.Answer) { a.Transaction = bits.ReverseBytes16(a.Transaction) },
		"its own": counted,
		"0 only": func(_ modbustest.Request, a *modbustest.Answer) {
			if a.Transaction != 0 {
				a.Copies = 0
			}
		},
	} {
		for fault, test := range map[string]struct {
			is     modbustest.Behaviour
			second string
		}{
			"honest":        {nil, "right"},
			"silence":       {modbustest.Silence, "timeout"},
			"late":          {modbustest.Late(timeout + 20*time.Millisecond), "timeout"},
			"wrong unit":    {modbustest.WrongUnit, "timeout"},
			"one less":      {modbustest.Fewer, "timeout"},
			"two answers":   {modbustest.Twice, "right"},
			"two apart":     {modbustest.TwiceApart(5 * time.Millisecond), "right"},
			"torn":          {modbustest.Torn(40 * time.Millisecond), "right"},
			"exception 2":   {modbustest.Exception(2), "exception 2"},
			"close after":   {modbustest.CloseAfter, "right"},
			"restart":       {modbustest.Restart, "right"},
			"stray of same": {modbustest.StrayBefore(0, 1), "right"},
		} {
			bubble(t, name+", "+fault, modbustest.TCP,
				func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
					o.Unnumbered = true
					link := wire.NewTCP(o)
					defer link.Close()
					client := wire.NewClient(link)
					client.To(t.Context(), 1, timeout)
					unit.Always(ids)
					unit.Next(nil, test.is)
					for i, want := range []string{"right", test.second, "right", "right", "right"} {
						at := uint16(10 * (i + 1))
						data, err := client.Read(wire.Holding, at, 2)
						if got := outcome(data, err, at); got != want {
							t.Errorf("read %d: %s (%v), want %s", i+1, got, err, want)
						}
					}
					if _, err := client.WriteSingleRegister(9, 5); err != nil {
						t.Error(err)
					}
				})
		}
	}
}

// TestOddAnswersOverTCP: what the transaction id says is ours is taken where its form
// leaves no doubt, and what is wrong with it is told.
func TestOddAnswersOverTCP(t *testing.T) {
	for name, test := range map[string]struct {
		is   modbustest.Behaviour
		want string
		text string
	}{
		"checksum of the line behind": {func(_ modbustest.Request,
			a *modbustest.Answer) {
			a.PDU = append(a.PDU, 0x12, 0x34)
		},
			"right", ""},
		"exception of another function": {func(_ modbustest.Request, a *modbustest.Answer) {
			a.PDU = append(a.PDU[:0], 0x90, 2)
		}, "exception 2", ""},
		"exception with a checksum": {func(_ modbustest.Request, a *modbustest.Answer) {
			a.PDU = append(a.PDU[:0], 0x83, 2, 0xc0, 0xf1)
		}, "exception 2", ""},
		"another unit": {modbustest.WrongUnit, "timeout", "no answer in time; 1 came, the last from unit 2 in place of 1"},
		"another id": {func(_ modbustest.Request, a *modbustest.Answer) { a.Transaction = 0 }, "timeout",
			"no answer in time; 1 came, the last with transaction id 0 in place of 1"},
	} {
		bubble(t, name, modbustest.TCP,
			func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
				link := wire.NewTCP(o)
				defer link.Close()
				client := wire.NewClient(link)
				client.To(t.Context(), 1, timeout)
				unit.Next(test.is)
				data, err := client.Read(wire.Holding, 10, 2)
				if got := outcome(data, err, 10); got != test.want {
					t.Errorf("%s (%v), want %s", got, err, test.want)
				}
				if test.text != "" && err.Error() != test.text {
					t.Errorf("%v, want %s", err, test.text)
				}
				if data, err = client.Read(wire.Holding, 20, 2); outcome(data, err, 20) != "right" {
					t.Error(err)
				}
			})
	}
}

// TestTold: what another process tells of a stray answer is one again, with what to do.
func TestTold(t *testing.T) {
	for fix, e := range map[string]*wire.StrayError{
		"a device that always answers as unit 0 has unit_id: 0": {Count: 1, Asked: 3},
		"it answers late: wait longer with timeout":             {Count: 2, ID: 7, AskedID: 9},
		"a device that does not repeat transaction ids needs a bus with ignore_transaction_ids: true in the file": {
			Count: 3, AskedID: 9},
	} {
		var got *wire.StrayError
		if told := wire.Told(errors.New(e.Error())); !errors.As(told, &got) || *got != *e || got.Fix() != fix ||
			!errors.Is(told, wire.ErrTimeout) {
			t.Errorf("%v: %+v, %q, want %q", e, told, got.Fix(), fix)
		}
	}
	for _, text := range []string{"no answer in time", "answer with function 4 to function 3", "other"} {
		if told := wire.Told(errors.New(text)); told.Error() != text {
			t.Errorf("%s became %v", text, told)
		}
	}
}
