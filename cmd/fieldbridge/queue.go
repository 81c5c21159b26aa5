package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/store/folder"
)

// queueCommand looks at a queue and changes it.
func queueCommand() *cobra.Command {
	return group("queue COMMAND [FILE | DIR]", "inspect, verify, export and purge a queue and its dead letters",
		"It works on a running gateway and on the folder of a stopped one.",
		queueDoes(control.Inspect, "inspect", "what is in the queue, segment by segment"),
		queueDoes(control.Verify, "verify", "read all of it and say what is damaged"),
		queueExportCommand(),
		queueDoes(control.Purge, "purge", "drop everything that waits (asks)"),
		group("dead COMMAND [FILE | DIR]", "list, retry or purge what the cloud refused for good", "",
			queueDoes(control.DeadList, "list", "what the cloud refused for good"),
			queueDoes(control.DeadRetry, "retry", "queue it once more"),
			queueDoes(control.DeadPurge, "purge", "drop it (asks)")))
}

// queueDoes is a command that does op.
func queueDoes(op control.Op, name, summary string) *cobra.Command {
	r := control.Queue{Op: op}
	c := newCommand(name+" [FILE | DIR] [--json]", summary, 1)
	asJSON := c.Flags().Bool("json", false, "print it as JSON")
	yes := new(bool)
	switch op {
	case control.Purge, control.DeadPurge:
		c.Flags().BoolVar(yes, "yes", false, "do not ask")
	case control.DeadList:
		c.Flags().IntVar(&r.Limit, "limit", 100, "how many dead letters to list")
	}
	gateway := c.Flags().String("gateway", "", gatewayHelp)
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return queueDo(ctx, r, args, *gateway, *asJSON, *yes, stdout, stderr)
	})
}

// queueDo does everything but export.
func queueDo(ctx context.Context, r control.Queue, args []string, gateway string, asJSON, yes bool, stdout,
	stderr io.Writer) error {
	at, err := findQueue(ctx, args, gateway)
	if err != nil {
		return misuse(err)
	}
	if (r.Op == control.Purge || r.Op == control.DeadPurge) && !yes {
		n, whose, err := inQueue(ctx, at, r.Op == control.DeadPurge)
		if err != nil {
			return err
		}
		if n.Batches == 0 {
			fmt.Fprintf(stderr, "there is nothing to drop in %s\n", at.Store.Dir)
			return nil
		}
		if !confirmed(os.Stdin, stderr, at, n, whose) {
			fmt.Fprintln(stderr, "nothing is changed")
			return exit(exitFailed)
		}
	}
	var answer bytes.Buffer
	if _, err := at.Do(ctx, r, &answer, stderr); err != nil {
		return err
	}
	text := stdout
	if asJSON {
		if _, err := stdout.Write(answer.Bytes()); err != nil {
			return err
		}
		text = io.Discard
	}
	return printQueueAnswer(r.Op, answer.Bytes(), text, stderr)
}

// inQueue counts what waits in a queue, or its dead letters, and says who measured them
// as far as that is known.
func inQueue(ctx context.Context, at control.At, dead bool) (n bridge.Count, whose []string, err error) {
	var r folder.Report
	if err := ask(ctx, at, control.Queue{Op: control.Inspect}, &r); err != nil || !dead {
		return r.Waiting, r.Whose(), err
	}
	if len(r.Gateways) < 2 || r.Dead.Batches == 0 {
		return r.Dead, r.Gateways, nil
	}
	var list control.DeadLetters
	if err := ask(ctx, at, control.Queue{Op: control.DeadList, Limit: math.MaxInt32}, &list); err != nil {
		return r.Dead, nil, err
	}
	for i := range list.Letters {
		if name := list.Letters[i].Gateway; name != "" && !slices.Contains(whose, name) {
			whose = append(whose, name)
		}
	}
	return r.Dead, whose, nil
}

// ask puts the answer of a queue into v.
func ask(ctx context.Context, at control.At, r control.Queue, v any) error {
	var answer bytes.Buffer
	if _, err := at.Do(ctx, r, &answer, io.Discard); err != nil {
		return err
	}
	return json.Unmarshal(answer.Bytes(), v)
}

// confirmed asks a person whether to drop n, which those measured.
func confirmed(in *os.File, stderr io.Writer, at control.At, n bridge.Count, whose []string) bool {
	what := fmt.Sprintf("drops %s batches of %s readings", words.Thousands(n.Batches), words.Thousands(n.Readings))
	by := ""
	if len(whose) > 0 {
		by = ", which " + strings.Join(whose, ", then ") + " measured"
	}
	if !term.IsTerminal(int(in.Fd())) {
		fmt.Fprintf(stderr, "fieldbridge queue: this %s for good%s, and there is no terminal to ask at: add --yes if it is "+
			"meant\n", what, by)
		return false
	}
	fmt.Fprintf(stderr, "This %s in %s for good%s; the cloud is told what is missing. Type yes: ", what, at.Store.Dir, by)
	line, _ := bufio.NewReader(in).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}

// printQueueAnswer tells an answer to a person.
func printQueueAnswer(op control.Op, answer []byte, stdout, stderr io.Writer) error {
	var err error
	switch op {
	case control.Inspect:
		var r folder.Report
		if err = json.Unmarshal(answer, &r); err == nil {
			tell.Queue(stdout, r)
		}
	case control.Verify:
		var all []control.Verified
		if err = json.Unmarshal(answer, &all); err == nil && !tell.Verified(stdout, stderr, all) {
			return exit(exitFailed)
		}
	case control.DeadList:
		var list control.DeadLetters
		if err = json.Unmarshal(answer, &list); err == nil {
			tell.Dead(stdout, stderr, list)
		}
	default:
		var n bridge.Count
		if err = json.Unmarshal(answer, &n); err == nil {
			done := "dropped"
			if op == control.DeadRetry {
				done = "queued again"
			}
			fmt.Fprintf(stdout, "%s batches of %s readings %s\n", words.Thousands(n.Batches), words.Thousands(n.Readings), done)
		}
	}
	if err != nil {
		return fmt.Errorf("the gateway's answer cannot be read: %v: is it of another version?", err)
	}
	return nil
}

// findQueue returns the queue that the argument names: a configuration, the
// folder itself, or nothing for ./queue.
func findQueue(ctx context.Context, args []string, gateway string) (at control.At, err error) {
	at.Store.SetDefaults()
	at.Gateway = gateway
	if len(args) == 0 {
		return at, nil
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return at, err
	}
	if info.IsDir() {
		at.Store.Dir = setting.Path(args[0])
		return at, nil
	}
	if loaded, err := configs.LoadGateway(ctx, args[0], gateway); err == nil {
		return control.At{Gateway: loaded.Config.Gateway, Store: loaded.Config.Store, Limits: true}, nil
	}
	dir := configs.QueueDir(ctx, args[0], gateway) // the file may be wrong elsewhere
	if dir == "" {
		return at, fmt.Errorf("%s: it does not say where the queue is: run 'fieldbridge check %s'", args[0], args[0])
	}
	at.Store.Dir = setting.Path(dir)
	return at, nil
}

// gatewayHelp tells of the flag that all of queue have.
const gatewayHelp = "`NAME` of the gateway in a fleet file, and in exports from a folder"
