package awsiot

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
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

// load reads what earlier processes have begun.
func (c *commander) load() error {
	if c.loaded || c.sink.options.State == nil {
		return nil
	}
	data, err := c.sink.options.State.Get(commandsKey)
	if err != nil {
		return err
	}
	if data != nil {
		if err := json.Unmarshal(data, &c.done); err != nil {
			return err
		}
	}
	c.loaded = true
	return nil
}

// remember saves what is known of a command, and forgets what is old.
func (c *commander) remember(id string, f finished) error {
	now := time.Now().UnixMilli()
	for other, o := range c.done {
		if o.Until < now {
			delete(c.done, other)
		}
	}
	if _, known := c.done[id]; !known && len(c.done) >= rememberedCommands && !c.forget(now) {
		return fmt.Errorf("%d commands came before the first of them was too old: no more are taken", len(c.done))
	}
	if len(f.Text) > rememberedText {
		f.Text = strings.ToValidUTF8(f.Text[:rememberedText], "")
	}
	before, known := c.done[id]
	c.done[id] = f
	if c.sink.options.State == nil {
		return nil
	}
	data, err := json.Marshal(c.done)
	if err == nil {
		err = c.sink.options.State.Put(commandsKey, data)
	}
	if err != nil {
		if delete(c.done, id); known {
			c.done[id] = before
		}
		return fmt.Errorf("the id cannot be saved: %w", err)
	}
	return nil
}

// forget makes room for an id: of those whose commands are too old to be carried
// out anyway, the oldest goes. An execution that AWS has ended is refused by it.
func (c *commander) forget(now int64) bool {
	oldest := ""
	for id, f := range c.done {
		if f.Spent < now && !f.Owed && (oldest == "" || f.Spent < c.done[oldest].Spent) {
			oldest = id
		}
	}
	delete(c.done, oldest)
	return oldest != ""
}
