// Package rauc has the system that the gateway runs on replaced by RAUC, over the system
// bus: RAUC reference manual, "D-Bus API" (de.pengutronix.rauc.Installer); the restart is
// logind's (org.freedesktop.login1).
//
// A Client is a connection for the time of one job. It is not safe for concurrent use.
package rauc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/godbus/dbus/v5"

	"fieldbridge/bridge"
)

// Names on the bus.
const (
	name      = "de.pengutronix.rauc"
	installer = name + ".Installer"
	bus       = "org.freedesktop.DBus"
	logind    = "org.freedesktop.login1"
	manager   = logind + ".Manager"
)

// ErrAbsent is that nobody on this machine replaces systems.
var ErrAbsent = bridge.Permanent(errors.New("there is no RAUC on this machine (de.pengutronix.rauc is not on the " +
	"system bus)"))

// Client speaks to RAUC and logind.
type Client struct{ conn *dbus.Conn }

// Dial connects to the bus at an address, "" for the system's, and finds RAUC there,
// which the bus may start. Close ends the connection.
func Dial(ctx context.Context, address string) (*Client, error) {
	var conn *dbus.Conn
	var err error
	inOrder := dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())
	if address == "" {
		conn, err = dbus.ConnectSystemBus(inOrder)
	} else {
		conn, err = dbus.Connect(address, inOrder)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrAbsent
		}
		return nil, err
	}
	c := &Client{conn}
	var owned bool
	var startable []string
	err = conn.BusObject().CallWithContext(ctx, bus+".NameHasOwner", 0, name).Store(&owned)
	if err == nil && !owned {
		err = conn.BusObject().CallWithContext(ctx, bus+".ListActivatableNames", 0).Store(&startable)
	}
	if err == nil && !owned && !slices.Contains(startable, name) {
		err = ErrAbsent
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() } // what was asked for was answered

func (c *Client) rauc() dbus.BusObject { return c.conn.Object(name, "/") }

func (c *Client) get(ctx context.Context, property string, into any) error {
	var v dbus.Variant
	err := c.rauc().CallWithContext(ctx, bus+".Properties.Get", 0, installer, property).Store(&v)
	if err == nil {
		err = v.Store(into)
	}
	if err != nil {
		return fmt.Errorf("RAUC does not tell its %s: %w", property, err)
	}
	return nil
}

// Slot returns the slot that the machine was started from.
func (c *Client) Slot(ctx context.Context) (slot string, err error) {
	err = c.get(ctx, "BootSlot", &slot)
	return slot, err
}

// MayRestart says why the machine cannot be restarted by us; nil is that it can.
func (c *Client) MayRestart(ctx context.Context) error {
	var may string
	err := c.login().CallWithContext(ctx, manager+".CanReboot", 0).Store(&may)
	if err == nil && may != "yes" {
		err = fmt.Errorf("logind says %q: a rule of polkit must allow org.freedesktop.login1.reboot to the gateway's user",
			may)
	}
	if err != nil {
		return fmt.Errorf("the machine cannot be restarted by the gateway: %w", err)
	}
	return nil
}

// Restart has the machine restarted. It does not wait for that.
func (c *Client) Restart(ctx context.Context) error {
	if err := c.login().CallWithContext(ctx, manager+".Reboot", 0, false).Err; err != nil {
		return fmt.Errorf("the machine is not restarted: %w", err)
	}
	return nil
}

func (c *Client) login() dbus.BusObject { return c.conn.Object(logind, "/org/freedesktop/login1") }

// Mark says of the slot that runs that it is good, bad (it is not started again), or to be
// started next (active).
func (c *Client) Mark(ctx context.Context, state string) error {
	if err := c.rauc().CallWithContext(ctx, installer+".Mark", 0, state, "booted").Err; err != nil {
		return fmt.Errorf("RAUC does not mark the slot %s: %w", state, err)
	}
	return nil
}

// Install has a bundle written to the slot that does not run, and returns when that is
// done: source is its file, or an address that RAUC reads itself. resumed says that it may
// be under way already. tell is told how far it is. When ctx ends, RAUC goes on.
func (c *Client) Install(ctx context.Context, source string, resumed bool, tell func(percent int)) error {
	heard := make(chan *dbus.Signal, 64)
	c.conn.Signal(heard)
	defer c.conn.RemoveSignal(heard)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchInterface(installer), dbus.WithMatchMember("Completed")},
		{dbus.WithMatchInterface(bus + ".Properties"), dbus.WithMatchObjectPath("/"), dbus.WithMatchSender(name)},
		{dbus.WithMatchInterface(bus), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)},
	} {
		if err := c.conn.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	var operation string
	if err := c.get(ctx, "Operation", &operation); err != nil {
		return err
	}
	switch {
	case operation == "idle":
		call := c.rauc().CallWithContext(ctx, installer+".InstallBundle", 0, source, map[string]dbus.Variant{})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if call.Err != nil {
			return fmt.Errorf("RAUC does not begin: %w", call.Err)
		}
	case !resumed:
		return errors.New("RAUC is busy with something else")
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s, ok := <-heard:
			if !ok {
				return errors.New("the system bus has ended the connection")
			}
			if done, err := c.heard(ctx, s, tell); done || err != nil {
				return err
			}
		}
	}
}

// heard takes a signal, and reports whether RAUC is done.
func (c *Client) heard(ctx context.Context, s *dbus.Signal, tell func(percent int)) (done bool, err error) {
	switch s.Name {
	case bus + ".NameOwnerChanged":
		var who, before, now string
		if dbus.Store(s.Body, &who, &before, &now) == nil && who == name && before != "" && now == "" {
			return true, errors.New("RAUC has ended in the middle")
		}
	case installer + ".Completed":
		var result int32
		if err := dbus.Store(s.Body, &result); err != nil || result == 0 {
			return true, err
		}
		var why string
		if err := c.get(ctx, "LastError", &why); err != nil {
			why = err.Error()
		}
		return true, fmt.Errorf("RAUC has not installed the bundle (%d): %s", result, why)
	case bus + ".Properties.PropertiesChanged":
		var of string
		var changed map[string]dbus.Variant
		var invalid []string
		if dbus.Store(s.Body, &of, &changed, &invalid) != nil || of != installer {
			return false, nil
		}
		var p struct { // (isi): percentage, message, depth
			Percent int32
			Message string
			Depth   int32
		}
		if v, ok := changed["Progress"]; ok && v.Store(&p) == nil {
			tell(int(min(max(p.Percent, 0), 100)))
		}
	}
	return false, nil
}
