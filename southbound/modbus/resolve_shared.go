package modbus

import (
	"hash/maphash"
	"reflect"

	"fieldbridge/southbound/modbus/point"
)

// shelf keeps the points that are resolved, so that devices of one profile share
// them: the fields of devices whose points are the same exist once.
type shelf struct {
	seed maphash.Seed
	kept map[uint64][]shared // by a hash of the points
}

// shared are the fields that devices like one have.
type shared struct {
	of     Device // all that the fields hang on
	fields []*point.Field
}

// mostAlike bounds how many devices are compared whose points have one hash: each
// comparison looks at all points.
const mostAlike = 8

func newShelf() *shelf { return &shelf{seed: maphash.MakeSeed(), kept: make(map[uint64][]shared)} }

// fields returns the fields of d, which is valid.
func (s *shelf) fields(d Device) []*point.Field {
	d = d.ofPoints()
	h := s.hash(d)
	for _, k := range s.kept[h] {
		if reflect.DeepEqual(k.of, d) {
			return k.fields
		}
	}
	fields, _ := resolveFields(d)
	if len(s.kept[h]) < mostAlike {
		s.kept[h] = append(s.kept[h], shared{d, fields})
	}
	return fields
}

// ofPoints returns what of d its points depend on.
func (d Device) ofPoints() Device {
	return Device{Every: d.Every, Order: d.Order, Base: d.Base, SunSpec: d.SunSpec, Instances: d.Instances,
		MaxWords: d.MaxWords, OnChange: d.OnChange, Heartbeat: d.Heartbeat, Points: d.Points}
}

// hash returns a hash of d's points: of what makes devices of one profile differ.
func (s *shelf) hash(d Device) uint64 {
	sum := uint64(d.Every) + uint64(d.Heartbeat)
	for name, p := range d.Points {
		var h maphash.Hash
		h.SetSeed(s.seed)
		_, _ = h.WriteString(name) // it cannot fail
		_, _ = h.WriteString(p.Type + string(p.Ref))
		for _, address := range []*int{p.Coil, p.Discrete, p.Input, p.Holding} {
			if address != nil {
				maphash.WriteComparable(&h, *address)
			}
		}
		if p.Every != nil {
			maphash.WriteComparable(&h, *p.Every)
		}
		if p.Scale != nil {
			maphash.WriteComparable(&h, *p.Scale)
		}
		sum += h.Sum64() // in any order
	}
	return sum
}
