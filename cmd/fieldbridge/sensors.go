package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/gateway/control"
	"fieldbridge/southbound/mqtt"
)

// sensorsCommand lists what a running gateway has heard: that is how one writes the
// rules.
func sensorsCommand() *cobra.Command {
	c := newCommand("sensors [FILE | DIR] [--json]",
		"list the topics that sensors used: which rule took them, the last payload, and those that no rule takes; "+
			"what each rule heard, and the clients that were refused or cut off", 1)
	c.AddCommand(sensorsPasswordCommand(), sensorsForgetCommand())
	return asksGateway(c, "/sensors", func(w io.Writer, heard mqtt.Listing) { tell.Sensors(w, heard, time.Now()) })
}

// sensorsForgetCommand forgets a device that is remembered.
func sensorsForgetCommand() *cobra.Command {
	c := newCommand("forget DEVICE [FILE | DIR]",
		"forget a device over MQTT that is gone for good, so that nobody misses it; if it sends something, it is there "+
			"again", 2)
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("name the device: 'fieldbridge status' lists them"))
		}
		dir, err := queueDir(ctx, args[1:])
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		name, err := control.ForgetPage.Ask(ctx, dir, control.ForgetSensor{Device: args[0]})
		if err == nil {
			fmt.Fprintf(stdout, "%s is forgotten\n", name)
		}
		return err
	})
}
