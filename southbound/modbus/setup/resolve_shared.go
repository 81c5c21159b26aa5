package setup

import (
	"hash/maphash"
	"reflect"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
)

// shelf keeps the points that are resolved, so that devices of one profile share
// them: the fields of devices whose points are the same exist once.
type shelf struct {
	seed maphash.Seed
	kept map[uint64][]shared  // by a hash of the points
	same map[uintptr][]shared // by the map of the points: a profile's is that of all its devices
}

// shared are the fields that devices like one have, and what is wrong with their points.
type shared struct {
	of       Device // all that the fields hang on
	fields   []*point.Field
	problems []setting.Problem
}

// mostAlike bounds how many devices are compared whose points have one hash: each
// comparison looks at all points.
const mostAlike = 8

func newShelf() *shelf {
	return &shelf{seed: maphash.MakeSeed(), kept: make(map[uint64][]shared), same: make(map[uintptr][]shared)}
}

// fields returns the fields of d and what is wrong with its points, as [Fields] does.
func (s *shelf) fields(d Device) ([]*point.Field, []setting.Problem) {
	d = d.ofPoints()
	at := reflect.ValueOf(d.Points).Pointer() // the shelf holds the map, so that no other comes to lie there
	if k, ok := alike(s.same[at], d); ok {
		return k.fields, k.problems
	}
	h := s.hash(d)
	k, ok := alike(s.kept[h], d)
	if !ok {
		k.of = d
		k.fields, k.problems = Fields(d)
		if len(s.kept[h]) < mostAlike {
			s.kept[h] = append(s.kept[h], k)
		}
	}
	if len(s.same[at]) < mostAlike {
		s.same[at] = append(s.same[at], shared{d, k.fields, k.problems})
	}
	return k.fields, k.problems
}

// alike finds what was resolved of a device like d.
func alike(kept []shared, d Device) (shared, bool) {
	for _, k := range kept {
		if reflect.DeepEqual(k.of, d) {
			return k, true
		}
	}
	return shared{}, false
}

// ofPoints returns what of d its points depend on.
func (d Device) ofPoints() Device {
	return Device{Every: d.Every, Order: d.Order, Base: d.Base, SunSpec: d.SunSpec, Instances: d.Instances,
		MaxWords: d.MaxWords, OnChange: d.OnChange, Heartbeat: d.Heartbeat, Thin: d.Thin,
		Points: d.Points}
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
