package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// CommandStatus is whether the cloud may command the gateway, for people.
type CommandStatus struct {
	// Ways are those that commands may come by, as configured; none if they
	// may not.
	Ways []string `json:"ways"`
	// Off says that they are switched off on the machine, whatever is configured.
	Off bool `json:"off"`
	// Since is when they were switched off.
	Since time.Time `json:"since,omitzero"`
}

// commandSwitch is the switch on the machine that turns all commands off. It is
// kept over restarts.
type commandSwitch struct {
	turning chan struct{} // holds a value while somebody turns it; the disk may be slow
	state   bridge.State  // nil forgets
	tell    func(bool)    // is told how it stands, at once; nil tells nobody

	mu    sync.Mutex
	saved switchState // guarded by mu
	offs  int         // guarded by mu; how often it was turned off
}

func newCommandSwitch() commandSwitch { return commandSwitch{turning: make(chan struct{}, 1)} }

type switchState struct {
	Off   bool  `json:"off"`
	Since int64 `json:"since,omitempty"` // epoch milliseconds
}

// The switch is kept twice: a damaged value counts as one that was never put, and
// that must not turn commands on.
var switchKeys = []string{"awsiot.commands.switch", "awsiot.commands.switch-copy"}

// read takes what an earlier process saved. A switch that cannot be read is off:
// somebody may rely on it.
func (c *commandSwitch) read(state bridge.State, log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state = state; state == nil {
		return
	}
	for _, key := range switchKeys {
		var saved switchState
		data, err := state.Get(key)
		if err == nil && data != nil {
			err = json.Unmarshal(data, &saved)
		}
		if err != nil {
			saved = switchState{Off: true, Since: time.Now().UnixMilli()}
			log.Error("the switch for commands cannot be read, they are off: switch them on or off again", "err", err)
		}
		if saved.Off && !c.saved.Off {
			c.saved = saved
		}
	}
	c.toldLocked()
	if c.saved.Off {
		log.Debug("commands are switched off on the machine", "since", time.UnixMilli(c.saved.Since))
	}
}

// toldLocked tells how the switch stands; mu is held, so that the last word is the
// right one.
func (c *commandSwitch) toldLocked() {
	if c.tell != nil {
		c.tell(c.saved.Off)
	}
}

func (c *commandSwitch) status() CommandStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.saved.Off {
		return CommandStatus{Ways: []string{}}
	}
	return CommandStatus{Off: true, Ways: []string{}, Since: time.UnixMilli(c.saved.Since)}
}

// set turns the switch. Off counts at once and stays, even if it cannot be saved;
// on counts only when it is saved. Who turns it waits for the disk, and for others
// who turn it; who only looks waits for nothing.
func (c *commandSwitch) set(off bool) error {
	next, offs := c.turn(off)
	c.turning <- struct{}{}
	defer func() { <-c.turning }()
	if c.state != nil {
		data := payload.Encode(next)
		for _, key := range switchKeys {
			if err := c.state.Put(key, data); err != nil {
				return fmt.Errorf("the switch for commands cannot be saved: %w", err)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offs == offs { // nobody has turned it off meanwhile
		c.saved = next
		c.toldLocked()
	}
	return nil
}

// turn returns the state that the switch is to have, which counts already if it
// is off, and how often it was turned off.
func (c *commandSwitch) turn(off bool) (next switchState, offs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !off {
		return switchState{}, c.offs
	}
	if !c.saved.Off {
		c.saved = switchState{Off: true, Since: time.Now().UnixMilli()}
	}
	c.offs++
	c.toldLocked()
	return c.saved, c.offs
}

// ErrUnderWay is that a command was begun before the switch was turned.
var ErrUnderWay = errors.New("commands are off, but one that was begun before has not ended yet")

// Switch turns all commands of the cloud off or on, over restarts. When
// it returns nil after off, none is under way any more and none will begin. An
// error after off says what is not sure: they are off, but one that was begun
// has not ended when ctx did, or the switch could not be saved and counts until
// the restart only. After on, an error is that they are still off.
func (c *Commander) Switch(ctx context.Context, off bool) error {
	was := c.off.status().Off
	err := c.off.set(off)
	if now := c.off.status().Off; now != was {
		c.o.Log.Warn("commands are switched on the machine", "off", now)
	}
	if !off || err != nil {
		return err
	}
	select {
	case c.busy <- struct{}{}:
		<-c.busy
		return nil
	case <-ctx.Done():
		return ErrUnderWay
	}
}

// SaveSwitch turns the switch that a gateway will find when it starts. state must
// be that of a gateway that does not run.
func SaveSwitch(state bridge.State, off bool) error {
	c := newCommandSwitch()
	c.read(state, slog.New(slog.DiscardHandler))
	return c.set(off)
}

// SavedSwitch returns how the switch of a gateway that does not run is turned;
// the ways are not known.
func SavedSwitch(state bridge.State) CommandStatus {
	c := newCommandSwitch()
	c.read(state, slog.New(slog.DiscardHandler))
	return c.status()
}

// Status returns whether the cloud may command the gateway, which is configured
// to take what access says.
func (c *Commander) Status(access *Access) CommandStatus {
	status := c.off.status()
	status.Ways = access.ways()
	return status
}
