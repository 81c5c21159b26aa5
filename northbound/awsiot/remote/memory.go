package remote

import (
	"encoding/json"
	"fmt"
	"strings"
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
	// Owed says that AWS IoT Commands has not taken the outcome yet.
	Owed bool `json:"owed,omitempty"`
}

// memory is what is known of the commands that were begun.
type memory struct {
	state  bridge.State // nil forgets
	done   map[string]finished
	loaded bool
}

// load reads what earlier processes have begun.
func (m *memory) load() error {
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

// remember saves what is known of a command, and forgets what is old.
func (m *memory) remember(id string, f finished) error {
	now := time.Now().UnixMilli()
	for other, o := range m.done {
		if o.Until < now {
			delete(m.done, other)
		}
	}
	if _, known := m.done[id]; !known && len(m.done) >= rememberedCommands && !m.forget(now) {
		return fmt.Errorf("%d commands came before the first of them was too old: no more are taken", len(m.done))
	}
	if len(f.Text) > rememberedText {
		f.Text = strings.ToValidUTF8(f.Text[:rememberedText], "")
	}
	before, known := m.done[id]
	m.done[id] = f
	if m.state == nil {
		return nil
	}
	data, err := json.Marshal(m.done)
	if err == nil {
		err = m.state.Put(commandsKey, data)
	}
	if err != nil {
		if delete(m.done, id); known {
			m.done[id] = before
		}
		return fmt.Errorf("the id cannot be saved: %w", err)
	}
	return nil
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
