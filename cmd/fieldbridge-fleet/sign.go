package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/minisign"
	"fieldbridge/signed"
)

// maxKey is how many bytes a file of a key or of a list may have.
const maxKey = 64 << 10

// signing is the flags by which orders are signed.
type signing struct {
	keys []string
	list string
	term time.Duration
}

func (s *signing) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.keys, "key", nil,
		"the `FILE` of a secret key of minisign without a password, - for stdin; again for a second signature")
	c.Flags().StringVar(&s.list, "keys", "", "the `FILE` with the list of signing keys that root keys have signed")
	c.Flags().DurationVar(&s.term, "expires", 7*24*time.Hour, "how long gateways may begin it")
}

// signer reads the keys. What they are is never told, not even in errors.
func (s *signing) signer(stdin io.Reader) (*rollout.Signer, error) {
	if len(s.keys) == 0 {
		return nil, usageError{errors.New("say --key FILE: gateways do only what is signed")}
	}
	if s.term <= 0 {
		return nil, usageError{errors.New("--expires must be more than nothing")}
	}
	signer := &rollout.Signer{For: s.term}
	for _, file := range s.keys {
		key, err := secret(file, stdin)
		if err != nil {
			return nil, err
		}
		signer.Keys = append(signer.Keys, key)
	}
	if s.list != "" {
		text, err := read(s.list, stdin)
		if err == nil {
			err = json.Unmarshal(text, &signer.List)
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("--keys %s: %w", s.list, err)}
		}
	}
	return signer, nil
}

// secret reads a secret key.
func secret(file string, stdin io.Reader) (minisign.SecretKey, error) {
	text, err := read(file, stdin)
	if err != nil {
		return minisign.SecretKey{}, usageError{fmt.Errorf("--key: %w", err)}
	}
	key, err := minisign.ParseSecretKey(string(text))
	if err != nil {
		return key, usageError{fmt.Errorf("--key %s: %w", file, err)}
	}
	return key, nil
}

// read reads a small file; - is stdin.
func read(file string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxKey+1))
	if err == nil && len(text) > maxKey {
		err = fmt.Errorf("%s has more than %d KiB", file, maxKey>>10)
	}
	return text, err
}

// targets is the flags by which gateways are named.
type targets struct {
	signed.Targets
}

func (t *targets) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&t.Gateways, "gateway", nil, "the `NAME` of a gateway; again for more")
	c.Flags().StringArrayVar(&t.Groups, "group", nil, "the `NAME` of a group; again for more")
}

func signCommand() *cobra.Command {
	c := &cobra.Command{Use: "sign OPERATION [--gateway NAME | --group NAME | --all] --key FILE",
		Short: "sign an order and print it, for a job that is created by other means", Args: takes(cobra.ExactArgs(1))}
	var s signing
	var to targets
	s.add(c)
	to.add(c)
	c.Flags().BoolVar(&to.All, "all", false, "for all gateways")
	what := c.Flags().String("what", "", "the `FILE` with what the operation needs, as JSON; - for stdin")
	c.RunE = func(c *cobra.Command, args []string) error {
		signer, err := s.signer(c.InOrStdin())
		if err != nil {
			return err
		}
		var content any
		if *what != "" {
			text, err := read(*what, c.InOrStdin())
			if err != nil {
				return usageError{err}
			}
			if !json.Valid(text) {
				return usageError{fmt.Errorf("--what %s is not JSON", *what)}
			}
			content = json.RawMessage(text)
		}
		order, err := signer.Order(args[0], to.Targets, content, time.Now())
		if err != nil {
			return usageError{err}
		}
		text, err := rollout.Document(order, nil)
		if err != nil {
			return usageError{err}
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), text)
		return err
	}
	return c
}
