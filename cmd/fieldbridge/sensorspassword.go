package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"fieldbridge/password"
)

// maxPassword is the longest password that is taken, in bytes: MQTT allows 65,535,
// and nobody types so many.
const maxPassword = 1024

// sensorsPasswordCommand prints the hash of a password.
func sensorsPasswordCommand() *cobra.Command {
	c := newCommand("password", "read a password, print its hash for a password_file (as mosquitto_passwd does, $7$)", 0)
	c.RunE = func(c *cobra.Command, _ []string) error {
		word, err := askPassword(c.Context(), c.InOrStdin(), c.ErrOrStderr())
		if err != nil {
			return err
		}
		hash, err := password.New(word)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), hash)
		return nil
	}
	return c
}

// askPassword reads a password: twice from a terminal, which does not show it, or
// the first line of a file or pipe.
func askPassword(ctx context.Context, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReaderSize(io.LimitReader(stdin, maxPassword+2), maxPassword+2).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the password cannot be read: %w", err)
		}
		return checked([]byte(strings.TrimRight(line, "\r\n")))
	}
	fmt.Fprint(stderr, "Password: ")
	first, err := readHidden(ctx, f, stderr)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(stderr, "The same again: ")
	second, err := readHidden(ctx, f, stderr)
	switch {
	case err != nil:
		return nil, err
	case string(first) != string(second):
		return nil, errors.New("the passwords differ")
	}
	return checked(first)
}

func checked(word []byte) ([]byte, error) {
	switch {
	case len(word) == 0:
		return nil, errors.New("the password is empty")
	case len(word) > maxPassword:
		return nil, fmt.Errorf("the password has more than %d bytes", maxPassword)
	}
	return word, nil
}

// readHidden reads a line from a terminal without an echo. When ctx ends the
// terminal is as it was.
func readHidden(ctx context.Context, terminal *os.File, stderr io.Writer) ([]byte, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type line struct {
		word []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		word, err := term.ReadPassword(fd) // it ends with the process at the latest
		read <- line{word, err}
	}()
	defer fmt.Fprintln(stderr)
	select {
	case got := <-read:
		return got.word, got.err
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}
