package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldbridge/condition"
	"fieldbridge/console/login"
	"fieldbridge/pause"
	"fieldbridge/setting"
)

// lookEvery is how often the files of a console are looked at, so that it is told that
// one broke before somebody needs it.
const lookEvery = time.Minute

// watch notes in told what is wrong with the files of c, until ctx ends.
func (c *Config) watch(ctx context.Context, told *condition.List) {
	defer told.Clear(condition.ConsoleFile, subject)
	for ; ctx.Err() == nil; pause.Sleep(ctx, lookEvery) {
		if err := errors.Join(c.someoneCanLogIn(), c.programsCanAsk(), c.certified(time.Now())); err != nil {
			told.Raise(condition.ConsoleFile, subject, strings.ReplaceAll(err.Error(), "\n", "; "))
		} else {
			told.Clear(condition.ConsoleFile, subject)
		}
	}
}

// someoneCanLogIn returns why nobody can.
func (c *Config) someoneCanLogIn() error {
	rules := login.Rules{PasswordFile: c.PasswordFile}
	if err := rules.Check(); err != nil {
		return fmt.Errorf("nobody can log in: %w: write the file with mosquitto_passwd, or NAME: and what "+
			"'fieldbridge sensors password' prints, a line for each person", err)
	}
	return nil
}

// programsCanAsk returns why none can.
func (c *Config) programsCanAsk() error {
	if c.TokenFile == "" {
		return nil
	}
	text, err := c.TokenFile.Read()
	line, _, _ := strings.Cut(string(text), "\n")
	if err == nil && strings.TrimSpace(line) == "" {
		err = fmt.Errorf("%s: its first line is empty", c.TokenFile)
	}
	if err != nil {
		return fmt.Errorf("/metrics and /healthz let in no program: %w: write a token on the first line of "+
			"console.token_file", err)
	}
	return nil
}

// certified returns why browsers will not trust the console. One that cannot be read
// any more is shown as it was read last.
func (c *Config) certified(now time.Time) error {
	if c.TLS == nil {
		return nil
	}
	pair, err := setting.TLSFiles{Certificate: c.TLS.Certificate, PrivateKey: c.TLS.PrivateKey}.Pair()
	switch {
	case err != nil:
		return fmt.Errorf("console.tls: %w: put a PEM certificate and its key there; until then the old one is shown",
			err)
	case pair.Leaf != nil && now.After(pair.Leaf.NotAfter):
		return fmt.Errorf("console.tls: %s expired at %s: put a new certificate and its key there", c.TLS.Certificate,
			pair.Leaf.NotAfter.UTC().Format(time.DateTime))
	}
	return nil
}
