package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/configs/tree"
)

var update = flag.Bool("update", false, "write what the tests expect")

func load(t *testing.T, file string) *Loaded {
	t.Helper()
	l, err := Load(t.Context(), file)
	if err != nil {
		t.Fatalf("%s does not load:\n%v", file, err)
	}
	return l
}

func TestFirstRun(t *testing.T) {
	l := load(t, "examples/first-run.yaml")
	c := l.Config
	if c.Gateway != "press-line-2" || c.Console.Listen != "127.0.0.1:8080" {
		t.Errorf("gateway %q, console %q", c.Gateway, c.Console.Listen)
	}
	north := c.Northbound.AWSIoT
	if north.Certificate != "examples/certs/device.pem" || north.Topic != "plant/{gateway}" || north.Window != 20 {
		t.Errorf("northbound: %+v", north)
	}
	if c.Store.Dir != "examples/queue" || c.Store.CommitEvery.String() != "3s" {
		t.Errorf("store: %+v", c.Store)
	}
	boiler := c.Southbound.Modbus.Devices["boiler"]
	if boiler.Bus != "plc" || boiler.Every.D() != time.Second || len(boiler.Points) != 6 {
		t.Errorf("boiler: %+v", boiler)
	}
	if energy := boiler.Points["energy"]; *energy.Holding != 100 || energy.Type != "uint32" || energy.Order != "CDAB" ||
		energy.Scale.String() != "0.01" {
		t.Errorf("energy: %+v", energy)
	}
	if c.Southbound.Modbus.Buses["plc"].Timeout.D() != time.Second {
		t.Errorf("bus plc: %+v", c.Southbound.Modbus.Buses["plc"])
	}
	sensors := c.Southbound.MQTT.Sensors
	if len(sensors) != 2 || sensors[0].Name != "hall" || sensors[1].Name != "zigbee" {
		t.Errorf("sensors in the wrong order: %+v", sensors)
	}
	if len(l.Warnings) != 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
	if len(l.Absent) != 3 || l.Absent[0].Position.String() != "examples/first-run.yaml:7:18" {
		t.Errorf("absent files: %v", l.Absent)
	}
}

// C02: of a folder as Kubernetes mounts a ConfigMap, and as editors leave it, each file
// of YAML is read once.
func TestCaseC02(t *testing.T) {
	dir := write(t, map[string]string{
		"g.yaml": north + "include: conf.d\n",
		"conf.d/..2026_11_29/a.yaml": "southbound: {modbus: {buses: {b: {url: 'tcp://127.0.0.1:502'}}, " +
			"devices: {d: {bus: b, points: {p: {coil: 1}}}}}}\n",
		"conf.d/.a.yaml.swp": "not YAML: [",
		"conf.d/a.yaml~":     "not YAML: [",
		"conf.d/a.yaml.bak":  "not YAML: [",
	})
	for link, to := range map[string]string{"..data": "..2026_11_29", "a.yaml": "..data/a.yaml"} {
		if err := os.Symlink(to, filepath.Join(dir, "conf.d", link)); err != nil {
			t.Fatal(err)
		}
	}
	l := load(t, filepath.Join(dir, "g.yaml"))
	if n := len(l.Config.Southbound.Modbus.Devices); n != 1 {
		t.Errorf("%d devices", n)
	}
}

// The copies in this repository are what the acceptance tests use, and all load.
func TestExamples(t *testing.T) {
	for _, name := range []string{"first-run.yaml", "every-key.yaml", "fleet.yaml"} {
		if _, err := LoadEach(t.Context(), "examples/"+name); err != nil {
			t.Errorf("%s does not load:\n%v", name, err)
		}
		shared, err := os.ReadFile("../../shared/acceptance/" + name)
		if err != nil {
			continue // this repository stands alone
		}
		ours, err := os.ReadFile("examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(shared), string(ours)); diff != "" {
			t.Errorf("examples/%s differs (-shared +ours):\n%s", name, diff)
		}
	}
}

// Each wrong file has the whole message that it must give beside it.
func TestWrongFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 120 {
		t.Fatalf("%d wrong files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".bad.yaml"), func(t *testing.T) {
			_, err := LoadEach(t.Context(), file)
			var wrong *tree.Error
			if !errors.As(err, &wrong) {
				t.Fatalf("%s loads: %v", file, err)
			}
			got := err.Error() + "\n"
			expected := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Each right file has beside it what it comes to.
func TestRightFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d right files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".good.yaml"), func(t *testing.T) {
			got := load(t, file).Render(true)
			expected := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
