package commission

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// Identity is what a unit says of itself.
type Identity struct {
	Objects []wire.Object       `json:"objects,omitempty"` // by function 43/14
	Maker   *Common             `json:"common,omitempty"`  // of a SunSpec device
	Models  []plan.SunSpecModel `json:"models,omitempty"`  // of a SunSpec device
}

// Common is the common model of a SunSpec device (SunSpec Information Model
// Reference, model 1).
type Common struct {
	Maker   string `json:"maker"`
	Model   string `json:"model"`
	Options string `json:"options"`
	Version string `json:"version"`
	Serial  string `json:"serial"`
}

// identify asks an answering unit who it is: what it does not know is left out.
func (m *Master) identify(ctx context.Context, unit int) (is Identity) {
	m.client.To(ctx, byte(unit), m.timeout)
	objects, _ := m.client.Identify() // many units know no function 43
	for _, o := range objects {
		is.Objects = append(is.Objects, wire.Object{ID: o.ID, Text: clean(o.Text)})
	}
	if ctx.Err() != nil {
		return is
	}
	models, err := m.SunSpec(ctx, unit)
	if len(models) == 0 {
		return is
	}
	is.Models = models
	if first := models[0]; err == nil && first.ID == 1 && first.Length >= commonWords {
		if data, err := m.client.Read(wire.Holding, uint16(first.Address+2), commonWords); err == nil {
			text := func(from, to int) string { return clean(string(data[2*from : 2*to])) }
			is.Maker = &Common{text(0, 16), text(16, 32), text(32, 40), text(40, 48), text(48, 64)}
		}
	}
	return is
}

// commonWords are the registers of the common model with texts.
const commonWords = 64

// Texts returns what the unit says of itself, to find a profile by.
func (is Identity) Texts() []string {
	var all []string
	for _, o := range is.Objects {
		all = append(all, o.Text)
	}
	if is.Maker != nil {
		all = append(all, is.Maker.Maker, is.Maker.Model, is.Maker.Options)
	}
	return all
}

// basic returns the basic objects, for people.
func (is Identity) basic() []string {
	var all []string
	for _, o := range is.Objects {
		if o.ID <= 2 {
			all = append(all, o.Text)
		}
	}
	return all
}

// more returns all else, for people, a line each.
func (is Identity) more() []string {
	var lines []string
	for _, o := range is.Objects {
		if o.ID > 2 && o.Name() != "" {
			lines = append(lines, o.Name()+": "+o.Text)
		} else if o.ID > 2 {
			lines = append(lines, fmt.Sprintf("object 0x%02x: %s", o.ID, o.Text))
		}
	}
	if c := is.Maker; c != nil {
		line := "SunSpec: " + strings.Join(nonEmpty(c.Maker, c.Model, c.Options, c.Version), " ")
		if c.Serial != "" {
			line += ", serial number " + c.Serial
		}
		lines = append(lines, line)
	}
	if is.Models != nil {
		ids := make([]string, len(is.Models))
		for i, m := range is.Models {
			ids[i] = fmt.Sprint(m.ID)
		}
		lines = append(lines, "SunSpec models "+strings.Join(ids, ", ")+" (--sunspec tells where)")
	}
	return lines
}

func nonEmpty(all ...string) []string {
	var some []string
	for _, s := range all {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
}

// clean returns a text of a device without its padding and without what would
// be no text on a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == 0 {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
