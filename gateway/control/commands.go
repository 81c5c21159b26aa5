package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fieldbridge/northbound/awsiot"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/store/disk"
	"fieldbridge/store/state"
)

// Turn says what to do with the switch of the cloud's commands.
type Turn string

// The turns; TurnNone asks how the switch stands.
const (
	TurnNone Turn = ""
	TurnOff  Turn = "off"
	TurnOn   Turn = "on"
)

// CommandsPage turns the commands of the cloud off and on.
const CommandsPage Page[Turn, remote.CommandStatus] = "/commands"

// switchTimeout is how long turning commands off may wait for one that was begun
// before: asking AWS and writing take 40 s at most.
const switchTimeout = 45 * time.Second

// askTimeout is how long a running gateway may take beside.
const askTimeout = 10 * time.Second

// Do turns the switch of a running gateway.
func (t Turn) Do(ctx context.Context, sink *awsiot.Sink) (remote.CommandStatus, error) {
	switch t {
	case TurnNone:
	case TurnOff, TurnOn:
		ctx, cancel := context.WithTimeout(ctx, switchTimeout)
		defer cancel()
		if err := sink.SwitchCommands(ctx, t == TurnOff); err != nil {
			return remote.CommandStatus{}, err
		}
	default:
		return remote.CommandStatus{}, fmt.Errorf("%q is neither off nor on", t)
	}
	return sink.Commands(), nil
}

// TurnAt has the gateway whose queue is in dir do it, or changes what a stopped
// one will find when it starts.
func TurnAt(ctx context.Context, dir string, t Turn) (status remote.CommandStatus, running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout+askTimeout)
	defer cancel()
	status, err = CommandsPage.Ask(ctx, dir, t)
	if errors.Is(err, ErrNotRunning) && HoldsQueue(dir) {
		status, err = turnStopped(dir, t)
		return status, false, err
	}
	return status, true, err
}

// turnStopped turns the switch of a gateway that does not run.
func turnStopped(dir string, t Turn) (remote.CommandStatus, error) {
	if t == TurnNone {
		return remote.SavedSwitch(state.Read(dir)), nil
	}
	if err := mayChange(dir); err != nil {
		return remote.CommandStatus{}, err
	}
	lock, err := disk.Lock(dir) // so that no gateway starts meanwhile
	if err != nil {
		return remote.CommandStatus{}, held(dir, err)
	}
	defer func() { _ = disk.Unlock(lock) }()
	saved, err := state.Open(dir)
	if err != nil {
		return remote.CommandStatus{}, err
	}
	if err := remote.SaveSwitch(saved, t == TurnOff); err != nil {
		return remote.CommandStatus{}, err
	}
	return remote.SavedSwitch(saved), nil
}
