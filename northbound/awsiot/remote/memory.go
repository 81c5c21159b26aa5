package remote

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
)

const (
	// rememberedCommands bounds the memory of ids; it must fit in a
	// [bridge.State].
	rememberedCommands = 200
	// rememberedText is how many bytes of an outcome's text are remembered.
	rememberedText = 80
	// rememberFor is the least time an id is remembered. AWS sends a message
	// again for up to an hour.
	rememberFor = 2 * time.Hour
	commandsKey = "awsiot.commands"
)

// finished is a command that was begun, or refused for good.
type finished struct {
	Until int64 `json:"until"` // epoch milliseconds
	// Spent is when the command is too old to be carried out anyway, in epoch
	// milliseconds: from then on its id may be forgotten for a new one.
	Spent   int64   `json:"spent"`
	Outcome outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"`
	// Enough says that the configuration asks for no more than unconfirmed.
	Enough bool `json:"enough,omitempty"`
	// Waits says that its turn has not come: nothing of it was begun.
	Waits bool `json:"waits,omitempty"`
	// Owed says that AWS IoT Commands has not taken the outcome yet.
	Owed bool `json:"owed,omitempty"`
	// Record is what the record of the command says, but for the outcome, until it
	// is safe among the readings.
	Record []field `json:"record,omitempty"`
}

// memory is what is known of the commands that were begun, or refused for good.
// It is safe for concurrent use; who saves waits for the disk.
type memory struct {
	state bridge.State // nil forgets

	mu      sync.Mutex
	done    map[string]finished // guarded by mu
	refused map[string]finished // guarded by mu; for which there is no room on the disk
	loaded  bool                // guarded by mu
}

// rememberedRefusals bounds what is refused and only known until the stop.
const rememberedRefusals = 5000

// load reads what earlier processes have begun.
func (m *memory) load() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loadLocked()
}

func (m *memory) loadLocked() error {
	if m.loaded || m.state == nil {
		return nil
	}
	data, err := m.state.Get(commandsKey)
	if err != nil {
		return err
	}
	if data != nil {
		if err := json.Unmarshal(data, &m.done); err != nil {
			return err
		}
	}
	m.loaded = true
	return nil
}

// known returns what became of a command, if it is known.
func (m *memory) known(id string) (finished, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.loadLocked(); err != nil {
		return finished{}, false, err
	}
	f, ok := m.done[id]
	if refused, too := m.refused[id]; too && (!ok || f.Waits) {
		f, ok = refused, true
	}
	return f, ok, nil
}

// all returns what is known of commands that are on the disk.
func (m *memory) all() map[string]finished {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.done)
}

// remember saves what is known of a command, and forgets what is old.
func (m *memory) remember(id string, f finished) error {
	return m.rememberAll(map[string]finished{id: f})
}

// rememberAll is remember for several, in one write.
func (m *memory) rememberAll(what map[string]finished) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saveLocked(what)
}

func (m *memory) saveLocked(what map[string]finished) error {
	before := maps.Clone(m.done)
	now := time.Now().UnixMilli()
	maps.DeleteFunc(m.done, func(_ string, f finished) bool { return f.Until < now })
	for id, f := range what {
		if _, known := m.done[id]; !known && len(m.done) >= rememberedCommands && !m.forget(now) {
			m.done = before
			return fmt.Errorf("%d commands came before the first of them was too old: no more are taken", rememberedCommands)
		}
		if len(f.Text) > rememberedText {
			f.Text = strings.ToValidUTF8(f.Text[:rememberedText], "")
		}
		m.done[id] = f
	}
	m.boundLocked()
	if m.state == nil {
		return nil
	}
	data, err := json.Marshal(m.done)
	if err == nil {
		err = m.state.Put(commandsKey, data)
	}
	if err != nil {
		m.done = before
		return fmt.Errorf("the id cannot be saved: %w", err)
	}
	return nil
}

// reserve saves that commands wait for their turn, but for those that are known
// already; still reports whether one waits.
func (m *memory) reserve(what map[string]finished, still func(id string) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.loadLocked(); err != nil {
		return err
	}
	maps.DeleteFunc(what, func(id string, _ finished) bool {
		_, done := m.done[id]
		_, refused := m.refused[id]
		return done || refused || !still(id)
	})
	if len(what) == 0 {
		return nil
	}
	return m.saveLocked(what)
}

// refuse remembers commands that are refused for good: on the disk if there is
// room. It reports whether there was.
func (m *memory) refuse(what map[string]finished) bool {
	if m.rememberAll(what) == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now().UnixMilli()
	maps.DeleteFunc(m.refused, func(_ string, f finished) bool { return f.Until < now })
	for id, f := range what {
		if len(m.refused) < rememberedRefusals {
			f.Record = nil
			m.refused[id] = f
		}
	}
	return false
}

// boundLocked lets go of the oldest records, if there are too many.
func (m *memory) boundLocked() {
	for {
		oldest, n := "", 0
		for id, f := range m.done {
			if f.Record == nil {
				continue
			}
			if n++; oldest == "" || f.Until < m.done[oldest].Until {
				oldest = id
			}
		}
		if n <= keptRecords {
			return
		}
		f := m.done[oldest]
		f.Record = nil
		m.done[oldest] = f
	}
}

// change changes what is known of those of the commands that are known, in one write.
func (m *memory) change(ids []string, change func(*finished)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	what := make(map[string]finished)
	for _, id := range ids {
		if f, known := m.done[id]; known {
			change(&f)
			what[id] = f
		}
	}
	if len(what) == 0 {
		return nil
	}
	return m.saveLocked(what)
}

// forget makes room for an id: of those whose commands are too old to be carried
// out anyway, the oldest goes. An execution that AWS has ended is refused by it.
func (m *memory) forget(now int64) bool {
	oldest := ""
	for id, f := range m.done {
		if f.Spent < now && !f.Owed && (oldest == "" || f.Spent < m.done[oldest].Spent) {
			oldest = id
		}
	}
	delete(m.done, oldest)
	return oldest != ""
}
