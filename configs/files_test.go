package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnreadableFiles(t *testing.T) {
	dir := write(t, map[string]string{"large.yaml": "gateway: g\n" + strings.Repeat("# padding\n", maxFile/10+1),
		"secret.yaml": north})
	if err := os.Chmod(filepath.Join(dir, "secret.yaml"), 0); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"none.yaml":   "none.yaml: no such file: check the name, or write a first one with: fieldbridge init",
		".":           ": is a folder: name the YAML file in it",
		"large.yaml":  "large.yaml: is larger than 16 MiB: ",
		"secret.yaml": "secret.yaml: permission denied: ",
	}
	for name, want := range tests {
		if name == "secret.yaml" && os.Getuid() == 0 {
			continue // root may read everything
		}
		if _, err := Load(t.Context(), filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	dir := write(t, map[string]string{
		"g.yaml": `gateway: g
northbound: {awsiot: {endpoint: "x:8883", certificate: certs, private_key: no.key, topic: t, linger: 3s}}
store: {dir: queue}
southbound:
  modbus: {buses: {spare: {url: "tcp://h"}}}
  mqtt: {brokers: {local: {listen: "127.0.0.1:1883"}}}
`, "certs/x": ""})
	if err := os.Mkdir(filepath.Join(dir, "queue"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "queue"), 0o777); err != nil {
		t.Fatal(err)
	}
	l := load(t, filepath.Join(dir, "g.yaml"))
	var got []string
	for _, p := range append(l.Absent, l.Warnings...) {
		got = append(got, strings.ReplaceAll(strings.ReplaceAll(p.String(), dir+"/", ""), dir, ""))
	}
	want := []string{
		"g.yaml:2:56: certificate certs is a folder: name the file in it",
		"g.yaml:2:76: private_key no.key does not exist: put it there: 'fieldbridge run' polls without it, and waits for it",
		"g.yaml:2:102: with linger 3s and store.commit_every 3s most readings are written to the disk before the cloud " +
			"can acknowledge them: to spare the flash let commit_every be at least 3.5s, or linger",
		"g.yaml:3:14: others on this machine can change the queue's folder queue (mode 0777): chmod 700 it",
		"g.yaml:4:1: there is nothing to read: add devices under southbound.modbus or sensors under southbound.mqtt",
		"g.yaml:5:20: no device is on this bus: add a device with bus: spare, or remove the bus",
		"g.yaml:6:20: no sensor rule is on this broker: add a rule with broker: local, or remove the broker",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOverload(t *testing.T) {
	var points strings.Builder
	for i := range 125 {
		fmt.Fprintf(&points, "p%d: {holding: %d}, ", i, 40*i)
	}
	l, err := Parse("g.yaml", []byte(north+"southbound: {modbus: {buses: {b: {url: 'tcp://h'}}, devices: {'d-{1..16}': "+
		"{bus: b, unit_id: '${n}', every: 50ms, points: {"+points.String()+"}}}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, w := range l.Advice() {
		texts = append(texts, w.String())
	}
	all := strings.Join(texts, "\n")
	if !strings.Contains(all, "b would be ") || !strings.Contains(all, "the rate allows") {
		t.Errorf("warnings: %s", all)
	}
}

// TestLooseModes: what others on the machine can read or change is told, for
// secrets and for the queue's folder.
func TestLooseModes(t *testing.T) {
	dir := write(t, map[string]string{
		"g.yaml": `gateway: g
northbound: {awsiot: {endpoint: "x:8883", certificate: c.pem, private_key: k.pem, topic: t}}
store: {dir: queue}
southbound:
  mqtt:
    brokers: {local: {listen: "127.0.0.1:1883", users: {hall: {password_file: pass}}}}
    sensors: {s: {broker: local, topic: "a/{device}", point: p}}
`, "c.pem": "", "k.pem": "", "pass": "x", "queue/x": ""})
	file := filepath.Join(dir, "g.yaml")
	modes := func(key, password, queue os.FileMode) string {
		for name, mode := range map[string]os.FileMode{"k.pem": key, "pass": password, "queue": queue, "c.pem": 0o644} {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		var all []string
		for _, p := range load(t, file).Warnings {
			all = append(all, p.String())
		}
		return strings.Join(all, "\n")
	}
	if got := modes(0o600, 0o640, 0o700); strings.Contains(got, "mode") {
		t.Errorf("right modes: %s", got)
	}
	got := modes(0o644, 0o660, 0o770)
	for _, want := range []string{"private_key " + filepath.Join(dir, "k.pem") +
		" is open to others on this machine (mode 0644)",
		"password_file " + filepath.Join(dir, "pass") + " is open to others on this machine (mode 0660)",
		"others on this machine can change the queue's folder " + filepath.Join(dir, "queue") + " (mode 0770)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// TestStateDirectory: which folder the queue has does not hang on the environment, which
// differs between the unit and the shell of who asks.
func TestStateDirectory(t *testing.T) {
	for says, want := range map[string]string{"": "queue", "store: {dir: here/q}": "here/q",
		"store: {dir: /var/q}": "/var/q"} {
		dir := write(t, map[string]string{"g.yaml": "gateway: g\n" + says +
			"\nnorthbound: {awsiot: {endpoint: \"x:8883\", certificate: c, private_key: k, topic: t}}\n"})
		file := filepath.Join(dir, "g.yaml")
		if !filepath.IsAbs(want) {
			want = filepath.Join(dir, want)
		}
		for _, state := range []string{"", "/var/lib/elsewhere"} {
			t.Setenv("STATE_DIRECTORY", state)
			loaded, asked := string(load(t, file).Config.Store.Dir), QueueDir(t.Context(), file, "")
			if loaded != want || asked != want {
				t.Errorf("%q with %q: run has %s, status %s", says, state, loaded, asked)
			}
		}
	}
}
