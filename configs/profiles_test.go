package configs

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/configs/profiles"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// loadProfile loads a gateway with one device of a profile, strictly.
func loadProfile(t *testing.T, name, address string) *Loaded {
	t.Helper()
	l, err := Parse("profile.yaml", fmt.Appendf(nil, `
gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: certs/device.pem
    private_key: certs/device.key
    topic: "plant/{gateway}"
southbound:
  modbus:
    devices:
      device: {url: "tcp://%s", every: 100ms, profile: %s}
`, address, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range l.Warnings {
		t.Error("warning:", w)
	}
	return l
}

// Every profile has a test, and the other way round, and a line in the README.
func TestEveryProfileIsTested(t *testing.T) {
	readme, err := os.ReadFile("profiles/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var tested []string
	for _, p := range append(imageProfiles(t), deviceProfiles...) {
		tested = append(tested, p.name)
		if line := fmt.Sprintf("| %s | %d |\n", p.name, p.requests); !strings.Contains(string(readme), line) {
			t.Errorf("profiles/README.md has no device with %q", line)
		}
	}
	slices.Sort(tested)
	if diff := cmp.Diff(slices.Sorted(slices.Values(profiles.Names())), tested); diff != "" {
		t.Errorf("profiles and their tests differ (-profiles +tests):\n%s", diff)
	}
}

// opened is a source that can be looked up: a file of a public project at a
// commit, or a document at its address.
var opened = regexp.MustCompile(`^github\.com/[\w.-]+/[\w.-]+ \S.* at [0-9a-f]{10,40}(, .+)?$|https://\S+`)

// Every profile says what it is for and where each of its facts can be looked up.
func TestProfilesNameTheirSource(t *testing.T) {
	for _, name := range profiles.Names() {
		p := profiles.Find(name)
		if p == nil {
			t.Errorf("%s can't be read", name)
			continue
		}
		if len(p.About) < 10 || p.Maker == "" || len(p.Models) == 0 {
			t.Errorf("%s does not say what device it is for: %q by %q, %q", name, p.About, p.Maker, p.Models)
		}
		if !slices.ContainsFunc(p.Source, opened.MatchString) {
			t.Errorf("%s names no source that can be looked up: %q", name, p.Source)
		}
		if !slices.Contains([]string{"document", "source", "device"}, p.Verified) {
			t.Errorf("%s is verified by %q", name, p.Verified)
		}
	}
}

// What a profile lets be written has both limits, but for outputs that are on or
// off.
func TestProfilesLimitWrites(t *testing.T) {
	writable := 0
	for _, name := range profiles.Names() {
		for point, p := range loadProfile(t, name, "127.0.0.1").Config.Southbound.Modbus.Devices["device"].Points {
			if p.Writable == nil {
				continue
			}
			if writable++; p.Coil == nil && (p.Writable.Min == nil || p.Writable.Max == nil) {
				t.Errorf("%s: %s is writable without limits", name, point)
			}
		}
	}
	if writable == 0 {
		t.Error("nothing is writable: this looks at nothing")
	}
}

// Points that mean the same have the same name and unit in all profiles: those
// that the README lists.
func TestProfilesShareTheirWords(t *testing.T) {
	units := vocabulary(t)
	used := make(map[string]bool)
	for _, name := range profiles.Names() {
		device := loadProfile(t, name, "127.0.0.1").Config.Southbound.Modbus.Devices["device"]
		for _, point := range slices.Sorted(maps.Keys(device.Points)) {
			unit, ok := units[point]
			if !ok {
				t.Errorf("%s: profiles/README.md does not list the point %s", name, point)
			} else if device.Points[point].Unit != unit {
				t.Errorf("%s: %s is in %q, profiles/README.md says %q", name, point, device.Points[point].Unit, unit)
			}
			used[point] = true
		}
	}
	for point := range units {
		if !used[point] {
			t.Errorf("profiles/README.md lists %s, which no profile has", point)
		}
	}
}

// vocabulary returns the points of the table in the README, with their units. A
// name in it may end in alternatives: temperature_{1..8}, power_{l1,l2}.
func vocabulary(t *testing.T) map[string]string {
	t.Helper()
	readme, err := os.ReadFile("profiles/README.md")
	if err != nil {
		t.Fatal(err)
	}
	units := make(map[string]string)
	for line := range strings.Lines(string(readme)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		columns := strings.Split(line, "|")
		unit := strings.TrimSpace(columns[2])
		for _, word := range strings.Fields(columns[1]) {
			for _, name := range alternatives(t, strings.Trim(word, "`,")) {
				units[name] = unit
			}
		}
	}
	return units
}

func alternatives(t *testing.T, name string) []string {
	before, rest, found := strings.Cut(name, "{")
	if !found {
		return []string{name}
	}
	inner, after, _ := strings.Cut(rest, "}")
	if inner == "n" {
		return []string{name} // a point that repeats
	}
	var names []string
	var first, last int
	if _, err := fmt.Sscanf(inner, "%d..%d", &first, &last); err == nil {
		for n := first; n <= last; n++ {
			names = append(names, fmt.Sprint(before, n, after))
		}
		return names
	}
	for _, word := range strings.Split(inner, ",") {
		names = append(names, before+word+after)
	}
	return names
}

// Every profile reads a simulated device: in the requests that the table says,
// none of which touches a register that the manual does not list.
func TestProfiles(t *testing.T) {
	for _, p := range append(imageProfiles(t), deviceProfiles...) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			sim := modbustest.New()
			device := loadProfile(t, p.name, "127.0.0.1").Config.Southbound.Modbus.Devices["device"]
			unit := sim.Unit(byte(device.UnitID))
			for _, r := range p.ranges {
				unit.Only(r.table, r.first, r.count)
			}
			if p.most > 0 {
				unit.Always(modbustest.AtMost(p.most))
			}
			p.image(image{unit: unit})
			l := loadProfile(t, p.name, sim.Start(t))
			plan := modbus.Plan(l.Config.Southbound.Modbus)
			if n := len(plan[0].Blocks); n != p.requests {
				t.Errorf("%d requests a cycle, want %d: %+v", n, p.requests, plan[0].Blocks)
			}
			got := readAll(t, l.Config.Southbound.Modbus)["device"]
			if diff := cmp.Diff(sortedLines(p.want), got); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
			asked := make(map[modbustest.Request]bool)
			walked := device.SunSpec != nil
			for _, r := range unit.Requests() {
				if !walked || r.Count != 2 { // the walk of the list takes two registers each
					asked[r] = true
				}
			}
			if len(asked) != p.requests {
				t.Errorf("the device saw %d different requests, want %d: %v", len(asked), p.requests, asked)
			}
		})
	}
}

// readAll polls until every point of every device was read, and returns the
// readings of each device as sorted lines.
func readAll(t *testing.T, cfg setup.Config) map[string][]string {
	t.Helper()
	source, err := modbus.New(cfg, modbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	missing := 0
	readings := make(map[string]map[string]string)
	for name, d := range cfg.Devices {
		readings[name] = make(map[string]string)
		for _, p := range d.Points {
			if p.Access != "write" { // which is never read
				missing++
			}
		}
	}
	var mu sync.Mutex
	err = source.Run(ctx, func(b bridge.Batch, _ func(error)) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range b.Readings {
			if _, known := readings[b.Device][r.Point]; !known {
				missing--
			}
			readings[b.Device][r.Point] = r.Value.String()
		}
		if missing <= 0 { // points that repeat are more
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string][]string)
	for device, points := range readings {
		for point, value := range points {
			lines[device] = append(lines[device], point+" "+value)
		}
		slices.Sort(lines[device])
	}
	return lines
}

// sortedLines splits what a test wants at semicolons and ends of lines.
func sortedLines(s string) []string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == ';' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	slices.Sort(lines)
	return lines
}

// only picks of the profile's points: those beside it are kept, and the scale
// points of all.
func TestOnlyKeepsOwnAndScalePoints(t *testing.T) {
	l, err := Parse("only.yaml", []byte(`
gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: certs/device.pem
    private_key: certs/device.key
    topic: "plant/{gateway}"
southbound:
  modbus:
    devices:
      roof:
        url: tcp://127.0.0.1
        profile: sunspec-inverter-103
        only: [power_total, state]
        points:
          relay: {coil: 0}
          dc_voltage: {holding: 40099, scale_point: dc_voltage_sf}
          frequency: null
`))
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(l.Config.Southbound.Modbus.Devices["roof"].Points))
	want := []string{"dc_voltage", "dc_voltage_sf", "power_sf", "power_total", "relay", "state"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}
