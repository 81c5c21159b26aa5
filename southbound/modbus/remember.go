package modbus

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"maps"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
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

func (s *Source) save() {
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
		s.o.Catalogue.Put(info(d.spec, l)) // it may have other copies of points
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
