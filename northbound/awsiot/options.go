package awsiot

import (
	"context"
	"log/slog"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/northbound/awsiot/uplink"
)

// Options is what a [Sink] needs beside its configuration.
type Options struct {
	Gateway    string            // its name; the client id unless configured
	Run        string            // the id of this start
	Version    string            // of the program, told in the birth
	Log        *slog.Logger      // required
	Notices    bridge.Notices    // told on the status topic; nil if there are none
	Catalogue  *bridge.Catalogue // told on the status topic; nil if there are none
	State      bridge.State      // connection number and clean stops; nil forgets
	ConfigHash string            // told in the birth and the catalogue; see [Sink.SetConfigHash]
	Labels     map[string]string // of the gateway; see [Sink.Apply]
	// Writer, Reader and Pacer carry out commands; nil refuses them.
	Writer bridge.Writer
	Reader bridge.Reader
	Pacer  bridge.Pacer
	// Switched is told whether commands are switched off on the machine, by New and
	// at each turn of the switch; it must not block. Nil is not told.
	Switched func(off bool)
	// Synced reports whether the wall clock is known to be right; nil is that it
	// is. Without, no command is carried out that has a time and changes anything.
	Synced func() bool
	// Emit takes the audit records of commands; nil drops them.
	Emit bridge.Emit
	// Report returns more for the shadow: what JSON can say. nil adds nothing. It
	// is called every shadow.every. Where it is too long, devices that are "good"
	// in the object devices are left out, then problems of the list problems, then
	// all devices.
	Report func() map[string]any
	// Health returns what is wrong with the gateway; changes are told on the
	// status topic; nil tells nothing.
	Health func() []condition.Condition
	// Identity is where the gateway keeps identities of its own; "" keeps none.
	Identity string
	// HoldRenewal says why the identity is not to be renewed now, "" allows it; nil
	// always does.
	HoldRenewal func() string
	// Operations carry out jobs, by name, and Opener reads what they ask for; nil takes
	// none.
	Operations map[string]jobs.Operation
	Opener     jobs.Opener
	// Alongside uses each session while it lasts, if jobs are taken; nil does not.
	Alongside func(ctx context.Context, s *uplink.Session)
	// Recorder has a tape of the uplink's packets; nil records none.
	Recorder *blackbox.Recorder
}
