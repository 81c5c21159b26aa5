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

	"fieldbridge/configs"
)

// initCommand writes a first configuration, by flags or by asking.
func initCommand() *cobra.Command {
	c := newCommand("init [FILE] [flags]", "write a first configuration, by asking or by flags", 1)
	var s configs.Starter
	c.Flags().StringVar(&s.Gateway, "gateway", "", "the `NAME` of the gateway, its AWS thing name")
	c.Flags().StringVar(&s.Endpoint, "endpoint", "", "the `HOST` of the AWS IoT data endpoint")
	c.Flags().StringVar(&s.Modbus, "modbus", "", "`HOST[:PORT]` of a Modbus TCP device")
	c.Flags().BoolVar(&s.Sensors, "sensors", false, "listen for MQTT sensors on this machine")
	force := c.Flags().Bool("force", false, "replace a file that is there")
	return does(c, func(_ context.Context, args []string, stdout, stderr io.Writer) error {
		host, _ := os.Hostname() // "" only means that there is no proposal
		if s == (configs.Starter{}) && asks(c.InOrStdin()) {
			askStarter(&s, host, bufio.NewScanner(c.InOrStdin()), stderr)
		}
		return writeFirst(args, s, host, *force, stdout, stderr)
	})
}

// asks reports whether somebody is there to be asked: not if in is a file or a
// pipe.
func asks(in io.Reader) bool {
	f, file := in.(*os.File)
	return !file || term.IsTerminal(int(f.Fd()))
}

// writeFirst writes the configuration of s to the file that args name.
func writeFirst(args []string, s configs.Starter, host string, force bool, stdout, stderr io.Writer) error {
	file := "fieldbridge.yaml"
	if len(args) > 0 {
		file = args[0]
	}
	if s.Gateway == "" {
		s.Gateway = thingName(host)
	}
	if s.Endpoint == "" {
		s.Endpoint = configs.ExampleEndpoint
	}
	text := s.YAML()
	if _, err := configs.Parse(file, []byte(text)); err != nil {
		return misuse(fmt.Errorf("these values do not fit:\n%v", err))
	}
	if err := writeNew(file, text, force); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\n", file)
	fmt.Fprintf(stderr, "Written. Put the certificate and key where it says, then: fieldbridge check %s\n", file)
	return nil
}

// askStarter asks for what a first configuration needs. Empty answers take what
// is proposed.
func askStarter(s *configs.Starter, host string, answers *bufio.Scanner, out io.Writer) {
	question := func(text, proposal string) string {
		if proposal != "" {
			text += " [" + proposal + "]"
		}
		fmt.Fprintf(out, "%s: ", text)
		if answers.Scan() && strings.TrimSpace(answers.Text()) != "" {
			return strings.TrimSpace(answers.Text())
		}
		return proposal
	}
	s.Gateway = question("Name of the gateway, its AWS thing name", thingName(host))
	s.Endpoint = question("AWS IoT data endpoint (aws iot describe-endpoint --endpoint-type iot:Data-ATS)", "")
	s.Modbus = question("Address of a Modbus TCP device, host or host:port (empty for none)", "")
	answer := strings.ToLower(question("Do MQTT sensors publish to this machine? (y/n)", "n"))
	s.Sensors = strings.HasPrefix(answer, "y")
}

// thingName makes a thing name of a host name.
func thingName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return "gateway-1"
	}
	return name
}

// writeNew writes a file that is not there yet.
func writeNew(file, text string, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, mode, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: name another file, or say --force to replace it", file)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}
