package modbus

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"maps"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/owed"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// stateKey is where what was learnt of a device is kept. Names have letters that
// keys have not.
func stateKey(device string) string {
	h := fnv.New128a()
	h.Write([]byte(device))
	return "modbus.learnt." + hex.EncodeToString(h.Sum(nil))
}

// recall returns what is remembered of a device. What is too old or cannot be
// read is forgotten: it will be learnt again.
func recall(s bridge.State, device string, now time.Time) plan.Learnt {
	if s == nil {
		return plan.Learnt{}
	}
	data, err := s.Get(stateKey(device))
	if err != nil || data == nil {
		return plan.Learnt{}
	}
	var l plan.Learnt
	if json.Unmarshal(data, &l) != nil {
		return plan.Learnt{}
	}
	if now.Sub(l.At) >= plan.ForgetAfter || l.At.After(now.Add(time.Hour)) {
		return plan.Learnt{Trip: l.Trip}
	}
	return l
}

// remember writes down what was learnt, until ctx ends and then once more: no
// bus waits for the disk.
func (s *Source) remember(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.save()
			return
		case <-s.lesson:
			s.save()
		}
	}
}

// takeOver has a device write the off of the points that an earlier process left
// on.
func (s *Source) takeOver(d *device) {
	var left []*point.Field
	for _, name := range s.book.Take(d.Spec.Name) {
		if f := d.Spec.Field(name); f != nil && f.Writable != nil && f.Kind == point.KindBool {
			left = append(left, f)
			continue
		}
		s.o.Log.Error("a point was left on by an earlier run, and is none any more that can be set: see to it",
			"device", d.Spec.Name, "point", name)
		s.book.End(owed.Point{Device: d.Spec.Name, Point: name})
	}
	d.Left(left)
}

// fell notes that a pulse has ended.
func (s *Source) fell(device, point string) {
	s.book.End(owed.Point{Device: device, Point: point})
	select {
	case s.lesson <- struct{}{}:
	default:
	}
}

func (s *Source) save() {
	if err := s.book.Save(); err != nil {
		s.o.Log.Warn("the off of a pulse is written again after a restart", "err", err)
	}
	s.mu.Lock()
	lessons := maps.Clone(s.lessons)
	clear(s.lessons)
	s.mu.Unlock()
	if s.o.State == nil {
		return
	}
	for device, l := range lessons {
		data, err := json.Marshal(l)
		if err == nil {
			err = s.o.State.Note(stateKey(device), data)
		}
		s.mu.Lock()
		s.kept[device] = l
		s.mu.Unlock()
		if err != nil {
			s.o.Log.Debug("what was learnt of a device cannot be kept", "device", device, "err", err)
		}
	}
}

// learn notes what was learnt of a device. A round trip that is known to plans
// is not worth a write each time it changes, as networks do: the new one goes
// with the next lesson, or at the stop.
func (s *Source) learn(device string, l plan.Learnt) {
	s.mu.Lock()
	s.lessons[device] = l
	kept := s.kept[device]
	if d := s.devices[device]; d != nil && d.Spec.InModels() {
		s.o.Catalogue.Put(tellings{}.info(d.spec, l)) // it may have other copies of points
	}
	s.mu.Unlock()
	if kept.Trip != 0 && kept.At.Equal(l.At) {
		return
	}
	select {
	case s.lesson <- struct{}{}:
	default:
	}
}
