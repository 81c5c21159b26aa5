package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// The releases of the demo. The first is packaged, and the next one is good.
const (
	first    = "1.0.0"
	next     = "1.1.0"
	crashing = "1.2.0"
	hanging  = "1.3.0"
	deaf     = "1.4.0" // it cannot connect
	foreign  = "1.5.0" // a stranger has signed it
	unwanted = "1.6.0" // a stranger has signed its order
	old      = "0.9.0"
)

// trial is how long a release has to prove itself. It needs a fifth of that; the rest
// is for a machine that is busy.
const trial = 45 * time.Second

// attempts is how often a release on trial is started (package release).
const attempts = 3

// build builds a package, or a file, of this module.
func (d *demo) build(name, what string, flags ...string) (string, error) {
	path := filepath.Join(d.dir, name)
	words := append(append([]string{"build", "-trimpath"}, flags...), "-o", path, what)
	if out, err := exec.CommandContext(d.ctx, "go", words...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(words, " "), err, out)
	}
	return path, nil
}

// gatewayProgram builds the gateway as a version that takes releases of the root key.
func (d *demo) gatewayProgram(version string, flags ...string) (string, error) {
	flags = append(flags, "-ldflags=-s -w -X main.version="+version+" -X main.roots="+d.root.Public().String())
	return d.build("fieldbridge-"+version, "fieldbridge/cmd/fieldbridge", flags...)
}

// small builds a program that only does something that releases must not.
func (d *demo) small(name, text string) (string, error) {
	source := name + ".go"
	if err := d.write(source, text); err != nil {
		return "", err
	}
	return d.build(name, filepath.Join(d.dir, source), "-ldflags=-s -w")
}

const crashes = `package main

func main() { panic("this release is bad") }
`

// hangs says that it is ready, and then nothing more: the watchdog ends it.
const hangs = `package main

import (
	"net"
	"os"
	"time"
)

func main() {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		panic(err)
	}
	if _, err := c.Write([]byte("READY=1")); err != nil {
		panic(err)
	}
	time.Sleep(time.Hour)
}
`

// unconnected builds a gateway with a fault: it expects another name in the
// certificate of the cloud than it is told.
func (d *demo) unconnected() (string, error) {
	module, err := exec.CommandContext(d.ctx, "go", "list", "-m", "-f", "{{.Dir}}", "fieldbridge").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	file := filepath.Join(strings.TrimSpace(string(module)), "northbound/awsiot/uplink/tls.go")
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	const right, wrong = "c.ServerName = cfg.ServerName", `c.ServerName = "nobody." + cfg.ServerName`
	if strings.Count(string(text), right) != 1 {
		return "", fmt.Errorf("%s does not say once: %s", file, right)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: filepath.Join(d.dir, "tls.go")}})
	if err == nil {
		err = d.write("tls.go", strings.Replace(string(text), right, wrong, 1))
	}
	if err == nil {
		err = d.write("overlay.json", string(overlay))
	}
	if err != nil {
		return "", err
	}
	return d.gatewayProgram(deaf, "-overlay="+filepath.Join(d.dir, "overlay.json"))
}

// release has the tool make the release of a program, signed by the key in a file.
func (d *demo) release(program, version, key string) error {
	return d.must(done, "release", filepath.Join("..", filepath.Base(program)), "--version", version, "--key", key,
		"--out", "../release-"+version)
}

// update calls the tool for a release. The folder in that of the release is named
// after the processor.
func (d *demo) update(code int, version, key string) error {
	folders, err := filepath.Glob(filepath.Join(d.dir, "release-"+version, "*"))
	if err != nil || len(folders) != 1 {
		return fmt.Errorf("the release %s is in the folders %q: %w", version, folders, err)
	}
	return d.must(code, "update", "fleet.yaml", "../release-"+version+"/"+filepath.Base(folders[0]), "--group", "canary",
		"--then", "rest", "--bucket", "presses", "--key", key, "--trial", trial.String(), "--rate", "1000")
}

// allRun waits until all gateways have told that they run a version.
func (d *demo) allRun(version string) error {
	return d.eventually("all gateways run "+version, settled, func() (bool, error) {
		code, out, err := d.quietly(io.Discard, "status", "fleet.yaml", "--json")
		if err != nil {
			return false, err
		}
		var rows []struct{ Version string }
		if code != done || json.Unmarshal([]byte(out), &rows) != nil {
			return false, nil
		}
		for _, r := range rows {
			if r.Version != version {
				return false, nil
			}
		}
		return len(rows) == len(d.gateways), nil
	})
}

func (d *demo) goodUpdate() error {
	program, err := d.gatewayProgram(next)
	if err == nil {
		err = d.release(program, next, rootKey)
	}
	if err != nil {
		return err
	}
	from := d.mark()
	if err := d.update(done, next, signingKey); err != nil {
		return err
	}
	if err := d.since(from, len(d.gateways), jobs.Succeeded); err != nil {
		return err
	}
	if err := d.allRun(next); err != nil {
		return err
	}
	return d.must(done, "status", "fleet.yaml")
}

// flawed is a release that the canaries take back, or refuse.
type flawed struct {
	version   string
	root, key string      // the files of the keys that sign it and its order
	ends      jobs.Status // of its job on each canary
	program   func() (string, error)
}

// flawedUpdate gives the fleet a release that is flawed, and sees that all run what they
// ran before.
func (d *demo) flawedUpdate(f flawed) error {
	program, err := f.program()
	if err == nil {
		err = d.release(program, f.version, f.root)
	}
	if err != nil {
		return err
	}
	from := d.mark()
	if err := d.update(stopped, f.version, f.key); err != nil {
		return err
	}
	if err := d.since(from, d.fleet.canaries, f.ends); err != nil {
		return err
	}
	return d.allRun(next)
}

// hungUpdate gives the fleet a release that hangs, and sees that the watchdog has ended
// each attempt of the canaries, and nobody else.
func (d *demo) hungUpdate() error {
	err := d.flawedUpdate(flawed{hanging, rootKey, signingKey, jobs.Failed,
		func() (string, error) { return d.small("hangs", hangs) }})
	if err != nil {
		return err
	}
	ended := map[int32]int{} // canaries, by how often the watchdog has ended the program
	for i, g := range d.gateways {
		n := g.killed.Load()
		if i < d.fleet.canaries {
			ended[n]++
		}
		d.mustBe(n == 0 || n == attempts && i < d.fleet.canaries, "the watchdog has ended %s %d times", g.name, n)
	}
	d.mustBe(ended[attempts] > 0, "the watchdog has ended nobody")
	return nil
}
