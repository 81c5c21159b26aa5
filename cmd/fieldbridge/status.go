package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
)

func statusCommand() *cobra.Command {
	c := newCommand("status [FILE | DIR] [--json]", "tell how a running gateway is doing", 1)
	return asksGateway(c, "/status", tell.Status)
}

// askTimeout is how long a running gateway may take to tell how it is.
const askTimeout = 10 * time.Second

// asksGateway makes c ask a running gateway for a page and print it, for people
// or as it came.
func asksGateway[T any](c *cobra.Command, page string, print func(w io.Writer, answer T)) *cobra.Command {
	asJSON := c.Flags().Bool("json", false, "print all of it as JSON")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		data, err := askGateway(ctx, page, args)
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := stdout.Write(data)
			return err
		}
		var answer T
		if err := json.Unmarshal(data, &answer); err != nil {
			return fmt.Errorf("the gateway's answer cannot be read: %w: is it of another version?", err)
		}
		print(paint.On(stdout, stdout), answer)
		return nil
	})
}

// askGateway asks the gateway that the arguments of a command name for a page.
func askGateway(ctx context.Context, page string, args []string) ([]byte, error) {
	dir, err := queueDir(ctx, args)
	if err != nil {
		return nil, err
	}
	return askDir(ctx, page, dir)
}

// askDir asks the gateway whose queue is in dir for a page.
func askDir(ctx context.Context, page, dir string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return control.Get(ctx, dir, page)
}

// queueDir returns the queue directory that the argument names: a
// configuration, the directory itself, or nothing for ./queue.
func queueDir(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "queue", nil
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return "", wrongFile(err)
	}
	if info.IsDir() {
		return args[0], nil
	}
	// The gateway may run although the file has become wrong.
	if dir := configs.QueueDir(ctx, args[0], ""); dir != "" {
		return dir, nil
	}
	loaded, err := configs.Load(ctx, args[0])
	if err != nil {
		return "", wrongFile(err)
	}
	return string(loaded.Config.Store.Dir), nil
}
