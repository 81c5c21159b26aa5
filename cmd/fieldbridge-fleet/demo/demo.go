package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fieldbridge/configs"
	"fieldbridge/minisign"
	"fieldbridge/northbound/awsiot/accounttest"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// demo is everything that stands around: the account, the plant, the machines, the
// repository and the operator.
type demo struct {
	ctx      context.Context
	w        io.Writer
	dir      string
	tool     string
	account  *accounttest.Account
	fleet    fleet
	gateways []*gateway
	root     minisign.SecretKey // signs releases; root.key in dir
	signing  minisign.SecretKey // signs orders; signing.key in dir
	named    map[string]string  // what configurations bring, by their hash: the message of a commit
	wrong    []string           // what was not as it must be

	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	births map[string][]birth // by gateway; guarded by mu
	ended  []error            // of what runs beside; guarded by mu
}

// birth is what a gateway says when it connects.
type birth struct {
	at              time.Time
	version, config string
}

// newDemo starts all but the operator.
func newDemo(ctx context.Context, o options, dir string, w io.Writer) (d *demo, err error) {
	ctx, stop := context.WithCancel(ctx)
	d = &demo{ctx: ctx, stop: stop, w: &shared{w: w}, dir: dir, named: map[string]string{},
		births: map[string][]birth{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	for name, key := range map[string]*minisign.SecretKey{"root.key": &d.root, "signing.key": &d.signing,
		"stranger.key": new(minisign.SecretKey)} {
		if *key, err = minisign.NewSecretKey(); err != nil {
			return d, err
		}
		if err := d.write(name, key.File()); err != nil {
			return d, err
		}
	}
	program, err := d.gatewayProgram(first)
	if err != nil {
		return d, err
	}
	if d.tool, err = d.build("fieldbridge-fleet", "fieldbridge/cmd/fieldbridge-fleet"); err != nil {
		return d, err
	}
	d.account, err = accounttest.Start(awsiottest.Options{Dir: filepath.Join(dir, "cloud"), OnPublish: d.hear}, "")
	if err != nil {
		return d, err
	}
	field, err := newPlant(o.gateways)
	if err != nil {
		return d, err
	}
	d.beside(func() error { return field.run(ctx, o.gateways) })
	d.fleet = fleet{canaries: 2, endpoint: d.account.Addr(), ca: d.account.CA(), keys: d.signing.Public().String(),
		machines: dir, modbus: field.address, points: firstPoints}
	for i := range o.gateways {
		d.fleet.gateways = append(d.fleet.gateways, fmt.Sprintf("press-%02d", i+1))
	}
	if err := d.repository(); err != nil {
		return d, err
	}
	for _, name := range d.fleet.gateways {
		if err := d.furnish(name, program); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (d *demo) write(name, text string) error {
	return os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600)
}

// beside runs f until the demo ends.
func (d *demo) beside(f func() error) {
	d.done.Go(func() {
		if err := f(); err != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.ended = append(d.ended, err)
		}
	})
}

// furnish makes a machine with the identity of a gateway, and starts it.
func (d *demo) furnish(name, program string) error {
	id, err := d.account.Device(name)
	if err != nil {
		return err
	}
	g := &gateway{name: name, dir: filepath.Join(d.dir, name), program: program}
	g.file = g.in("fleet.yaml")
	err = os.MkdirAll(g.dir, 0o700)
	for to, from := range map[string]string{"device.pem": id.Certificate, "device.key": id.PrivateKey,
		"fleet.yaml": filepath.Join(d.dir, "repository", "fleet.yaml")} {
		text, readErr := os.ReadFile(from)
		err = errors.Join(err, readErr, os.WriteFile(g.in(to), text, 0o600))
	}
	if err != nil {
		return err
	}
	d.gateways = append(d.gateways, g)
	d.beside(func() error { return g.run(d.ctx) })
	return nil
}

// close ends everything, the gateways before their cloud.
func (d *demo) close() error {
	d.stop()
	d.done.Wait()
	if d.account != nil {
		d.ended = append(d.ended, d.account.Close())
	}
	return errors.Join(d.ended...)
}

// hear notes what gateways say of themselves.
func (d *demo) hear(m awsiottest.Message) {
	var said struct{ Gateway, Type, Version, Config string }
	if json.Unmarshal(m.Payload, &said) != nil || said.Type != "online" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.births[said.Gateway] = append(d.births[said.Gateway], birth{time.Now(), said.Version, said.Config})
}

// The repository that the fleet is operated from.

func (d *demo) git(words ...string) error {
	words = append([]string{"-c", "user.name=Operator", "-c", "user.email=operator@example.com", "-c",
		"commit.gpgsign=false", "-C", filepath.Join(d.dir, "repository")}, words...)
	if out, err := exec.CommandContext(d.ctx, "git", words...).CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

func (d *demo) repository() error {
	if err := os.Mkdir(filepath.Join(d.dir, "repository"), 0o700); err != nil {
		return err
	}
	if err := d.git("init", "-q"); err != nil {
		return err
	}
	return d.commit("the presses as they were installed", firstPoints)
}

// commit commits the fleet file with other points.
func (d *demo) commit(message, points string) error {
	d.fleet.points = points
	err := d.write("repository/fleet.yaml", d.fleet.text())
	if err == nil {
		err = d.git("add", "fleet.yaml")
	}
	if err == nil {
		err = d.git("commit", "-q", "-m", message)
	}
	if err != nil {
		return err
	}
	file, err := configs.LoadFleet(d.ctx, filepath.Join(d.dir, "repository", "fleet.yaml"))
	if err != nil {
		return err
	}
	all, err := file.LoadAll()
	for _, l := range all {
		d.named[l.Hash] = message
	}
	return err
}

// What the operator does and sees.

// head prints a heading.
func (d *demo) head(title string) {
	fmt.Fprintf(d.w, "\n== %s %s\n", time.Now().Format(time.TimeOnly), title)
}

// mustBe notes that something was not as it must be.
func (d *demo) mustBe(ok bool, format string, args ...any) {
	if !ok {
		text := fmt.Sprintf(format, args...)
		d.wrong = append(d.wrong, text)
		fmt.Fprintln(d.w, "NOT AS IT MUST BE:", text)
	}
}

// call calls the operator's tool in the repository; what it says is shown.
func (d *demo) call(words ...string) (code int, err error) {
	fmt.Fprintln(d.w, "$ fieldbridge-fleet", strings.Join(words, " "))
	code, _, err = d.quietly(d.w, words...)
	return code, err
}

// quietly calls it, and returns what it says on stdout. Everything goes to w, too.
func (d *demo) quietly(w io.Writer, words ...string) (code int, stdout string, err error) {
	var out bytes.Buffer
	c := exec.CommandContext(d.ctx, d.tool, words...)
	c.Dir = filepath.Join(d.dir, "repository")
	c.Env = append(os.Environ(), d.account.Environment()...)
	c.Stdout, c.Stderr = io.MultiWriter(w, &out), w
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), out.String(), nil
	}
	return 0, out.String(), err
}

// eventually waits until ok, and notes it if that takes longer than within.
func (d *demo) eventually(what string, within time.Duration, ok func() (bool, error)) error {
	for deadline := time.Now().Add(within); ; {
		well, err := ok()
		if well || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			d.mustBe(false, "within %v: %s", within, what)
			return nil
		}
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// shared is a writer for both outputs of a process, and others.
type shared struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
