package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/minisign"
	"fieldbridge/signed"
)

// prepared are orders that were signed, to be signed by another person before they are
// given, by the names of their jobs.
type prepared struct {
	Orders map[string]*signed.Envelope `json:"orders"`
}

// readPrepared reads a file that --prepare has written.
func readPrepared(file string) (p prepared, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil && len(p.Orders) == 0 {
		err = errors.New("no orders are in it")
	}
	return p, err
}

func (p prepared) write(file string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// find returns the order for a job, if it is the one that would be signed now.
func (p prepared) find(job, operation string, things []string, what any) (*signed.Envelope, error) {
	e := p.Orders[job]
	if e == nil {
		return nil, fmt.Errorf("no order for job %s was prepared: prepare the orders again", job)
	}
	var o signed.Order
	if err := json.Unmarshal(e.Payload, &o); err != nil {
		return nil, err
	}
	wanted, err := json.Marshal(what)
	switch {
	case err != nil:
		return nil, err
	case o.Operation != operation || string(o.What) != string(wanted):
		return nil, fmt.Errorf("the order for job %s says something else than this command: prepare the orders again", job)
	case time.Now().After(o.Expires):
		return nil, fmt.Errorf("the order for job %s has expired at %s: prepare the orders again", job,
			o.Expires.Format(time.RFC3339))
	}
	for _, name := range things {
		if !slices.Contains(o.Targets.Gateways, name) {
			return nil, fmt.Errorf("the order for job %s is not for %s: prepare the orders again", job, name)
		}
	}
	return e, nil
}

func cosignCommand() *cobra.Command {
	c := &cobra.Command{Use: "cosign FILE --key FILE",
		Short: "sign what another person has signed: an order, a list of keys, or what --prepare wrote",
		Long:  "It tells what is signed, and prints the file with one more signature.", Args: takes(cobra.ExactArgs(1))}
	keyFile := c.Flags().String("key", "", "the `FILE` of a secret key of minisign without a password; - for stdin")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *keyFile == "" {
			return usageError{errors.New("say --key FILE: whose signature is added")}
		}
		key, err := secret(*keyFile, c.InOrStdin())
		if err != nil {
			return err
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			return usageError{err}
		}
		both, err := cosign(c.ErrOrStderr(), text, key)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", args[0], err)}
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", both)
		return err
	}
	return c
}

// errUnsigned is that a file is none to add a signature to.
var errUnsigned = errors.New("it is nothing that was signed: an order, a list of keys, and what --prepare wrote are")

// cosign adds a signature to all envelopes of a document, and tells at w what they say.
// What else stands in the document stays.
func cosign(w io.Writer, text []byte, key minisign.SecretKey) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, errUnsigned
	}
	if all["orders"] != nil {
		var orders map[string]json.RawMessage
		err := json.Unmarshal(all["orders"], &orders)
		for _, job := range slices.Sorted(maps.Keys(orders)) {
			if err == nil {
				orders[job], err = cosign(w, orders[job], key)
			}
		}
		if err == nil {
			all["orders"], err = json.Marshal(orders)
		}
		if err != nil {
			return nil, err
		}
		return json.MarshalIndent(all, "", "  ")
	}
	var e signed.Envelope
	if err := json.Unmarshal(text, &e); err != nil || len(e.Signatures) == 0 {
		return nil, errUnsigned
	}
	said, err := tells(e.Payload)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(w, said)
	e.Sign(key)
	if all["signatures"], err = json.Marshal(e.Signatures); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// tells says in a line what is signed.
func tells(payload []byte) (string, error) {
	var o struct {
		signed.Order
		Keys []string
	}
	if err := json.Unmarshal(payload, &o); err != nil {
		return "", fmt.Errorf("what is signed cannot be read: %w", err)
	}
	until := " until " + o.Expires.Format(time.RFC3339)
	if o.Operation == "" {
		return fmt.Sprintf("these keys sign orders%s: %s", until, words.Printable(strings.Join(o.Keys, " "))), nil
	}
	var whom []string
	for _, g := range o.Targets.Gateways {
		whom = append(whom, words.Printable(g))
	}
	for _, g := range o.Targets.Groups {
		whom = append(whom, "group "+words.Printable(g))
	}
	if o.Targets.All {
		whom = append(whom, "all gateways")
	}
	line := words.Printable(o.Operation) + until + " for " + strings.Join(whom, ", ")
	if o.Operation == "update" {
		var what struct{ Manifest []byte }
		var m struct{ Version, OS, Architecture string }
		if json.Unmarshal(o.What, &what) == nil && json.Unmarshal(what.Manifest, &m) == nil {
			return line + ": version " + words.Printable(m.Version+" for "+m.OS+"/"+m.Architecture), nil
		}
	}
	if len(o.What) > 0 {
		line += ": " + words.Printable(string(o.What))
	}
	return line, nil
}
