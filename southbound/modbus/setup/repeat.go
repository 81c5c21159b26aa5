package setup

import (
	"fmt"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// Bounds of what is resolved.
const (
	maxBlocks    = 20
	maxInstances = 20
)

// copies returns the copies that a point stands for.
func (p Point) copies(d Device) []point.Copy {
	blocks := []uint8{0}
	if p.Repeat != nil && *p.Repeat >= 1 {
		blocks = blocks[:0]
		for n := range uint8(maxBlocks) {
			blocks = append(blocks, n+1)
		}
	}
	instances := 1
	if p.SunSpec != nil || len(d.SunSpec) > 0 && p.Holding != nil {
		instances = min(max(d.Instances, 1), maxInstances)
	}
	var all []point.Copy
	for n := range instances {
		for _, block := range blocks {
			all = append(all, point.Copy{Block: block, Instance: uint8(n + 1)})
		}
	}
	return all
}

// repeated finds which block of a model a point is in.
func (f *finder) repeated(r *point.Field, p Point, c point.Copy) {
	r.Copy = c
	if p.Repeat == nil {
		return
	}
	switch stride := *p.Repeat; {
	case r.Models == nil:
		f.bad("repeat", "a block that repeats outside of a SunSpec model",
			"add sunspec, or a point for each: how often it is there is known of models only")
	case stride < 1 || stride > point.MaxWords:
		f.bad("repeat", fmt.Sprintf("a block of %d registers", stride),
			"give the registers from one block to the next, 1 to 125")
	default:
		r.Address += (int(c.Block) - 1) * stride
	}
}

// models finds the SunSpec models that a point is in.
func (f *finder) models(r *point.Field, p Point, d Device) {
	r.Models = d.SunSpec
	if p.SunSpec != nil {
		r.Models = p.SunSpec
	}
	if len(r.Models) == 0 {
		r.Models = nil
	}
	for _, id := range p.SunSpec {
		if id < 1 || id >= plan.SunSpecEnd {
			f.bad("sunspec", fmt.Sprintf("model %d", id), "SunSpec models are 1 to 65534")
		}
	}
}
