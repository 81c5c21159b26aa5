package mqtt

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/naming"
)

// names remembers over restarts which name is whose: the order of arrival must not
// change it.
type names struct {
	log    *slog.Logger
	state  bridge.State  // nil keeps nothing
	urgent chan struct{} // receives a value when names were told apart

	mu      sync.Mutex                   // held over nothing that waits but a line of the log, when names are told apart
	devices naming.Book                  // guarded by mu; whose names are not what they are called
	points  map[string]map[string]string // guarded by mu; that were told apart, and their rivals, by device
	changed bool                         // guarded by mu; since it was saved
}

// maxNames bounds what is remembered: the plain names of so many devices, and as many
// that were told apart.
const maxNames = 10_000

// namesKey is where the names are in the state.
const namesKey = "mqtt.names"

// savedNames is how they are written.
type savedNames struct {
	Devices map[string]string            `json:"devices,omitempty"`
	Points  map[string]map[string]string `json:"points,omitempty"`
}

// newNames reads the names that earlier runs gave. What cannot be read is as if
// nothing had been saved.
func newNames(state bridge.State, log *slog.Logger) *names {
	m := &names{log: log, state: state, urgent: make(chan struct{}, 1), points: make(map[string]map[string]string)}
	if state == nil {
		return m
	}
	text, err := state.Get(namesKey)
	var saved savedNames
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		log.Warn("the names of sensors cannot be read: they are given anew", "cause", err)
	}
	m.devices = naming.NewBook(saved.Devices)
	maps.Copy(m.points, saved.Points)
	return m
}

// plain returns the name of what is called original as far as no other is looked at.
func (m *names) plain(original string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name, ok := m.devices.Name(original); ok {
		return name
	}
	return naming.Device(original)
}

// name returns the name of what is called original. holder is who has its plain name
// at present, "" if nobody has.
func (m *names) name(original, holder string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	book := &m.devices
	if name, ok := book.Name(original); ok {
		return name
	}
	plain := naming.Device(original)
	if owner, ok := book.Owner(plain); ok {
		holder = owner
	}
	switch {
	case holder != "" && holder != original && book.Len() >= 2*maxNames:
		return naming.DeviceApart(original, 16) // which hangs on the original alone
	case holder != "" && holder != original:
		name := book.TellApart(original, plain, holder, naming.DeviceApart)
		m.log.Warn("two devices have one name: they are told apart", "device", holder, "name", plain, "other", original,
			"other_name", name)
		m.urgeLocked()
		return name
	case plain != original && book.Len() < maxNames:
		book.Put(original, plain)
		m.changed = true
	}
	return plain
}

// book returns the names of the points of a device that were told apart.
func (m *names) book(device string) naming.Book {
	m.mu.Lock()
	defer m.mu.Unlock()
	return naming.NewBook(m.points[device])
}

// toldApart remembers names of points of a device that were told apart.
func (m *names) toldApart(device string, apart map[string]string) {
	m.log.Warn("two points of a device have one name: they are told apart", "device", device, "names", apart)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.points[device] == nil {
		if len(m.points) >= maxNames {
			return
		}
		m.points[device] = make(map[string]string)
	}
	for original, name := range apart {
		m.points[device][strings.Clone(original)] = name
	}
	m.urgeLocked()
}

// urgeLocked has the names saved at once.
func (m *names) urgeLocked() {
	m.changed = true
	select {
	case m.urgent <- struct{}{}:
	default:
	}
}

// saveEvery is how often names are saved that collide with no other.
const saveEvery = 10 * time.Minute

// keep saves names until ctx ends: at once what was told apart, all else now and then.
// No message waits for it.
func (m *names) keep(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			m.save()
			return
		case <-m.urgent:
		case <-tick.C:
		}
		m.save()
	}
}

func (m *names) save() {
	m.mu.Lock()
	if !m.changed || m.state == nil {
		m.mu.Unlock()
		return
	}
	m.changed = false
	text, err := json.Marshal(savedNames{m.devices.All(), m.points})
	m.mu.Unlock()
	if err == nil {
		err = m.state.Put(namesKey, text)
	}
	if err != nil {
		m.log.Warn("the names of sensors cannot be saved", "cause", err)
		m.mu.Lock()
		m.changed = true // the next time
		m.mu.Unlock()
	}
}
