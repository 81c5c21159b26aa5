package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/minisign"
	"fieldbridge/signed"
)

func newkeyCommand() *cobra.Command {
	return &cobra.Command{Use: "newkey NAME", Short: "make a pair of keys, NAME.key to sign with and NAME.pub to trust",
		Long: "The same as 'minisign -G -W'. Whoever reads NAME.key can sign: keep it where only releases are made.\n" +
			"The last line of NAME.pub is for updates.keys or updates.roots of gateways.", Args: takes(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			key, err := minisign.NewSecretKey()
			if err != nil {
				return err
			}
			public := "untrusted comment: minisign public key " + key.Public().ID() + "\n" + key.Public().String() + "\n"
			if err := writeNew(args[0]+".key", key.File(), 0o600); err != nil {
				return usageError{err}
			}
			if err := writeNew(args[0]+".pub", public, 0o644); err != nil {
				return usageError{errors.Join(err, os.Remove(args[0]+".key"))}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), key.Public())
			return err
		}}
}

// writeNew writes a file that must not be there yet.
func writeNew(file, text string, mode os.FileMode) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and a key is never overwritten: give another name", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(file) // half a key is none
	}
	return err
}

func keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys [PUBLIC...] --key ROOT.key",
		Short: "sign with root keys which keys sign orders, for --keys",
		Long: "PUBLIC is a .pub file, or a key itself. The list travels with each order, and a gateway that has seen a\n" +
			"newer one takes no older: so keys are replaced without touching gateways. Without PUBLIC it takes all back."}
	var s signing
	c.Flags().StringArrayVar(&s.keys, "key", nil,
		"the `FILE` of a root key, a secret key of minisign without a password, - for stdin; again for a second signature")
	c.Flags().DurationVar(&s.term, "expires", 365*24*time.Hour, "how long the list is good")
	c.RunE = func(c *cobra.Command, args []string) error {
		signer, err := s.signer(c.InOrStdin())
		if err != nil {
			return err
		}
		now := time.Now().UTC().Truncate(time.Second)
		l := signed.List{Keys: []string{}, Serial: uint64(time.Now().UnixMicro()), NotBefore: now.Add(-10 * time.Minute),
			Expires: now.Add(s.term)}
		for _, arg := range args {
			text := arg
			if content, err := read(arg, nil); err == nil {
				text = string(content)
			} else if filepath.Ext(arg) == ".pub" {
				return usageError{err}
			}
			key, err := minisign.ParsePublicKey(text)
			if err != nil {
				return usageError{fmt.Errorf("%s: %w", arg, err)}
			}
			l.Keys = append(l.Keys, key.String())
		}
		e, err := signed.SealList(l, signer.Keys...)
		if err != nil {
			return usageError{err}
		}
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", text)
		return err
	}
	return c
}
