//go:build linux

package crashtest

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
)

// pressUnit and ovenUnit are the Modbus units of the devices press and oven.
const pressUnit, ovenUnit = 1, 2

// asked notes when a device was asked by a gateway, in this life.
type asked struct {
	mu   sync.Mutex
	last []time.Time // guarded by mu; the last ones, the newest at the end
}

// pollsUnderWay is more than a poll takes requests: what was asked so many requests before
// a death was answered, and has entered the queue.
const pollsUnderWay = 4

// note is a [modbustest.Behaviour].
func (a *asked) note(modbustest.Request, *modbustest.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.last) == pollsUnderWay {
		a.last = a.last[1:]
	}
	a.last = append(a.last, time.Now())
}

func (a *asked) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = nil
}

// answered returns a time after which a poll was answered for sure; ok is that there is one.
func (a *asked) answered() (at time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.last) < pollsUnderWay {
		return at, false
	}
	return a.last[0], true
}

// death is that of a gateway which had polled.
type death struct {
	at, answered time.Time // answered is when a poll was that must arrive
}

// meter answers each poll of a device with the next number, so that each reading can
// be told from every other: which are missing, and which came twice under two names.
type meter struct {
	mu      sync.Mutex
	first   uint32            // guarded by mu; the first number that is to arrive
	served  uint32            // guarded by mu; the last one answered
	deaths  []uint32          // guarded by mu; the last answers before a gateway's deaths
	arrived map[uint32]string // guarded by mu; under which run and seq
}

// count is a [modbustest.Behaviour].
func (m *meter) count(r modbustest.Request, a *modbustest.Answer) {
	if r.Function != 3 || r.Address != 0 || len(a.PDU) < 6 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.served++
	binary.BigEndian.PutUint32(a.PDU[2:], m.served)
}

// died notes that the gateway has ended: the poll that was under way may not have
// entered its queue.
func (m *meter) died() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaths = append(m.deaths, m.served)
}

// arrive notes a number that the cloud has got in the batch of that name.
func (m *meter) arrive(t *testing.T, number, name string) {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return // a bad reading
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.arrived == nil {
		m.arrived = map[uint32]string{}
	}
	if was, ok := m.arrived[uint32(n)]; ok && was != name {
		t.Errorf("poll %d arrived as %s and as %s", n, was, name)
	}
	m.arrived[uint32(n)] = name
}

// settle returns how many polls were answered, and which of them never arrived though
// they were not under way at a death, and begins anew.
func (m *meter) settle() (polls int, lost []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	missing := map[uint32]bool{}
	for n := m.first + 1; n <= m.served; n++ {
		if _, ok := m.arrived[n]; !ok {
			missing[n] = true
		}
	}
	for _, last := range m.deaths {
		if !missing[last] {
			last++ // asked by the dead, and answered to nobody
		}
		delete(missing, last)
	}
	polls = int(m.served - m.first)
	m.first, m.deaths = m.served, nil
	clear(m.arrived)
	return polls, slices.Sorted(maps.Keys(missing))
}

// answered returns how many polls were.
func (m *meter) answered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(m.served)
}
