package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
	"fieldbridge/store"
	"fieldbridge/store/disk"
	"fieldbridge/store/state"
)

// switchTimeout is how long turning commands off may wait for one that was begun
// before: asking AWS and writing take 40 s at most.
const switchTimeout = 45 * time.Second

// runCommands turns the cloud's commands off or on, or tells which it is.
func runCommands(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("commands", stderr)
	asJSON := flags.Bool("json", false, "print the answer as JSON")
	rest, code, ok := parseFlags(flags, args, 2)
	if !ok {
		return code
	}
	turn := ""
	if len(rest) > 0 && (rest[0] == "off" || rest[0] == "on") {
		turn, rest = rest[0], rest[1:]
	} else if len(rest) > 1 {
		fmt.Fprintf(stderr, "fieldbridge commands: %q is neither off nor on\n", rest[0])
		return exitUsage
	}
	dir, err := queueDir(rest)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	status, running, err := turnCommands(ctx, dir, turn)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge commands: %v\n", err)
		if errors.Is(err, errNotRunning) {
			fmt.Fprintln(stderr, "name the configuration that it runs, or its queue directory: fieldbridge commands "+strings.TrimSpace(turn+" FILE"))
		}
		return exitFailed
	}
	if *asJSON {
		return printJSON(stdout, stderr, status)
	}
	fmt.Fprintln(stdout, commandsText(status, running))
	return exitDone
}

// turnCommands asks the running gateway, or changes what a stopped one will find
// when it starts. turn is off, on, or "" to ask.
func turnCommands(ctx context.Context, dir, turn string) (status awsiot.CommandStatus, running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout+askTimeout)
	defer cancel()
	method, page := http.MethodGet, "/commands"
	if turn != "" {
		method, page = http.MethodPost, "/commands?turn="+turn
	}
	data, err := controlDo(ctx, dir, method, page, nil)
	if errors.Is(err, errNotRunning) && holdsQueue(dir) {
		status, err = turnStopped(dir, turn)
		return status, false, err
	}
	if err == nil {
		err = json.Unmarshal(data, &status)
	}
	return status, true, err
}

// turnStopped turns the switch of a gateway that does not run.
func turnStopped(dir, turn string) (awsiot.CommandStatus, error) {
	if turn == "" {
		return awsiot.SavedSwitch(state.Read(dir)), nil
	}
	if err := mayChange(dir); err != nil {
		return awsiot.CommandStatus{}, err
	}
	queue, err := store.OpenStopped(store.Config{Dir: setting.Path(dir)}) // so that no gateway starts meanwhile
	var locked *disk.LockedError
	switch {
	case errors.As(err, &locked):
		return awsiot.CommandStatus{}, fmt.Errorf("queue %s is held by %s, which does not answer: if that gateway is starting or stopping, try again in a moment", dir, locked.By)
	case err != nil:
		return awsiot.CommandStatus{}, err
	}
	defer queue.Close()
	state, err := state.Open(dir)
	if err != nil {
		return awsiot.CommandStatus{}, err
	}
	if err := awsiot.SaveSwitch(state, turn == "off"); err != nil {
		return awsiot.CommandStatus{}, err
	}
	return awsiot.SavedSwitch(state), nil
}

// commandsText says it for people.
func commandsText(s awsiot.CommandStatus, running bool) string {
	var text string
	switch {
	case s.Off && running:
		text = fmt.Sprintf("off since %s: none is under way, and none will be carried out until 'fieldbridge commands on', over restarts, too", s.Since.Local().Format(time.DateTime))
	case s.Off:
		text = fmt.Sprintf("off since %s: no gateway is running; when it starts, none will be carried out until 'fieldbridge commands on'", s.Since.Local().Format(time.DateTime))
	case !running:
		text = "on, as far as they are configured; no gateway is running"
	case len(s.Ways) == 0:
		text = "on, but none are configured: see northbound.awsiot.commands"
	default:
		text = "on, by " + strings.Join(s.Ways, ", ")
	}
	return "commands of the cloud are " + text
}

// printCommands tells whether the cloud may command the gateway, and what it
// changed for a while.
func printCommands(w io.Writer, s gatewayStatus) {
	switch {
	case s.Commands.Off:
		fmt.Fprintf(w, "commands switched off on the machine for %s: 'fieldbridge commands on' lets them in again\n", ago(s.Now.Sub(s.Commands.Since)))
	case len(s.Commands.Ways) > 0:
		fmt.Fprintf(w, "commands by %s\n", strings.Join(s.Commands.Ways, ", "))
	}
	for _, i := range s.Intervals {
		fmt.Fprintf(w, "         %s is polled every %v instead of %v for %s more\n", i.Device, i.Every, i.Usual, ago(i.Until.Sub(s.Now)))
	}
}

// serveCommands tells whether commands are on, and turns them.
func (g *gateway) serveCommands(w http.ResponseWriter, r *http.Request) {
	if turn := r.FormValue("turn"); r.Method == http.MethodPost {
		if turn != "off" && turn != "on" {
			http.Error(w, "turn is off or on", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), switchTimeout)
		defer cancel()
		if err := g.sink.SwitchCommands(ctx, turn == "off"); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	printJSON(w, io.Discard, g.sink.Commands())
}
