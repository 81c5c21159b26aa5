package byhand

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
)

// Decode prints what registers may mean: those that rest are, or that stand where
// it names; if a number is expected, only in what ways they are about that.
func (d *Desk) Decode(ctx context.Context, rest []string, count int, expect string) error {
	data, err := hex.DecodeString(strings.Join(rest, ""))
	if err != nil || len(data)%2 != 0 {
		if len(rest) != 2 || !strings.Contains(rest[0], ":") && d.Via == "" {
			return misuse(errors.New("neither a URL and an address nor registers of four hexadecimal digits each"))
		}
		if data, err = d.registers(ctx, rest[0], rest[1], count); err != nil {
			return err
		}
	}
	if expect != "" {
		address := ""
		if len(rest) == 2 && strings.Contains(rest[1], ":") {
			address = rest[1]
		}
		return d.guess(data, expect, address)
	}
	if d.JSON {
		out := []map[string]any{}
		for _, i := range point.Interpret(data) {
			out = append(out, map[string]any{"type": i.Type, "order": i.Order, "value": jsonValue(i.Value)})
		}
		return words.JSON(d.Data, out)
	}
	printInterpretations(d.Data, data)
	return nil
}

// mostGuesses are shown at most.
const mostGuesses = 8

// guess prints the ways in which registers are about a number, as lines for a file,
// the likeliest first. address is where the first register stands, as given; ""
// is not known.
func (d *Desk) guess(data []byte, expect, address string) error {
	var expected bridge.Decimal
	if err := expected.UnmarshalText([]byte(expect)); err != nil {
		return misuse(fmt.Errorf("--expect %s: %w", expect, err))
	}
	table, first := "holding", -1
	if address != "" {
		at, err := setup.ParseAddress(address)
		if err != nil {
			return misuse(err)
		}
		if table, first, err = at.Place(); err != nil {
			return misuse(err)
		}
	}
	guesses := commission.Guesses(data, expected)
	if guesses == nil && !d.JSON {
		return fmt.Errorf("nothing in these %d registers is near %s: try others (--count), and the other table",
			len(data)/2, expect)
	}
	guesses = guesses[:min(len(guesses), mostGuesses)]
	type told struct {
		commission.Guess
		Value any    `json:"value"`
		Scale string `json:"scale,omitempty"`
		Line  string `json:"line"` // of the file
	}
	all, t := []told{}, words.NewColumns(d.Data)
	for _, g := range guesses {
		at := "ADDRESS"
		switch {
		case first >= 0:
			at = strconv.Itoa(first + g.At)
		case g.At > 0:
			at += "+" + strconv.Itoa(g.At)
		}
		line := "value: {" + table + ": " + at
		if keys := g.Keys(); keys != "" {
			line += ", " + keys
		}
		is := told{Guess: g, Value: jsonValue(g.Value), Line: line + "}"}
		if g.Scale != nil {
			is.Scale = g.Scale.String()
		}
		all = append(all, is)
		fmt.Fprintf(t, "%s\t%v", is.Line, g.Value)
		if g.Also != nil {
			fmt.Fprintf(t, "\tthe same: %s", strings.Join(g.Also, ", "))
		}
		fmt.Fprintln(t)
	}
	if d.JSON {
		return words.JSON(d.Data, all)
	}
	return t.Flush()
}

// registers reads registers for decode.
func (d *Desk) registers(ctx context.Context, url, address string, count int) ([]byte, error) {
	p, err := setup.ParseAddress(address)
	if err != nil {
		return nil, misuse(err)
	}
	m, err := d.master(url)
	if err != nil {
		return nil, misuse(err)
	}
	defer m.Close()
	field, err := p.Field()
	if err != nil {
		return nil, misuse(err)
	}
	values, err := m.Read(ctx, d.Unit, field, count)
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

// ordersALine is how many fit on a line of a terminal.
const ordersALine = 4

// printInterpretations prints one type a line, its orders beside each other, four at
// most.
func printInterpretations(stdout io.Writer, data []byte) {
	w := words.NewColumns(stdout)
	fmt.Fprintf(w, "registers\t% X\n", data)
	last, column := "", 0
	for _, i := range point.Interpret(data) {
		if i.Type != last || column == ordersALine {
			if last != "" {
				fmt.Fprintln(w)
			}
			fmt.Fprint(w, i.Type)
			last, column = i.Type, 0
		}
		column++
		value := i.Value.String()
		if i.Value.Kind() == bridge.KindString {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(w, "\t%s %s", i.Order, value)
	}
	fmt.Fprintln(w)
	_ = w.Flush()
}
