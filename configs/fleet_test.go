package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/configs/tree"
	"fieldbridge/needtest"
)

func loadFleet(t testing.TB, file string) *Fleet {
	t.Helper()
	f, err := LoadFleet(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func loadFrom(t *testing.T, f *Fleet, name string) *Loaded {
	t.Helper()
	l, err := f.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFleet(t *testing.T) {
	f := loadFleet(t, "testdata/fleet/fleet.yaml")
	if diff := cmp.Diff([]string{"first", "gw-1", "gw-2", "gw-3", "own"}, f.Names()); diff != "" {
		t.Fatal(diff)
	}
	if _, err := f.LoadAll(); err != nil {
		t.Fatal(err)
	}

	first := loadFrom(t, f, "first").Config
	if first.Gateway != "first" || first.Northbound.AWSIoT.Linger != 0 || first.Labels["site"] != "brno" {
		t.Errorf("the groups of first: %+v", first)
	}
	if first.Store.Dir != "testdata/fleet/groups/queue-first" {
		t.Errorf("dir %q is not relative to the file that names it", first.Store.Dir)
	}
	meters := first.Southbound.Modbus.Devices
	if len(meters) != 3 || meters["meter-2"].UnitID != 2 || meters["meter-2"].Every.D() != 100*time.Millisecond ||
		meters["meter-2"].Order != "CDAB" || len(meters["meter-2"].Points) != 2 {
		t.Errorf("devices of first: %+v", meters)
	}
	if url := first.Southbound.Modbus.Buses["plc"].URL; url != "tcp://10.0.0.1:502" {
		t.Errorf("bus of first: %s", url)
	}

	third := loadFrom(t, f, "gw-3").Config
	meters = third.Southbound.Modbus.Devices
	if _, there := meters["meter-2"]; there || meters["meter-3"].UnitID != 33 ||
		meters["meter-3"].Every.D() != time.Second {
		t.Errorf("devices of gw-3: %+v", meters)
	}
	if bus := third.Southbound.Modbus.Buses["plc"]; bus.URL != "tcp://10.3.0.1:502" || bus.Timeout.D() != 2*time.Second {
		t.Errorf("bus of gw-3: %+v", bus)
	}

	own := loadFrom(t, f, "own").Config.Southbound.Modbus.Devices["d"]
	if own.Order != "ABCD" || len(own.Points) != 2 || own.Points["speed"].Holding != nil ||
		*own.Points["speed"].Input != 9 || own.Points["extra"].Coil == nil {
		t.Errorf("device of own: %+v", own)
	}
}

// What the comments of fleet.yaml and issue 7 promise.
func TestFleetExample(t *testing.T) {
	shared, err := os.ReadFile("../../shared/acceptance/fleet.yaml")
	if err == nil {
		ours, _ := os.ReadFile("examples/fleet.yaml")
		if diff := cmp.Diff(string(shared), string(ours)); diff != "" {
			t.Errorf("examples/fleet.yaml differs (-shared +ours):\n%s", diff)
		}
	}
	f := loadFleet(t, "examples/fleet.yaml")
	want := map[string]struct {
		url, every, device string
		points             int
	}{
		"brno-1":   {"tcp://10.1.0.5:502", "1s", "filler", 2},
		"brno-2":   {"tcp://10.1.0.6:502", "500ms", "filler", 2},
		"brno-lab": {"tcp://10.1.0.9:502", "1s", "bench", 1},
	}
	for name, want := range want {
		c := loadFrom(t, f, name).Config
		d, ok := c.Southbound.Modbus.Devices[want.device]
		if !ok || len(c.Southbound.Modbus.Devices) != 1 || d.Every.String() != want.every || len(d.Points) != want.points {
			t.Errorf("%s: %+v", name, c.Southbound.Modbus.Devices)
		}
		if url := c.Southbound.Modbus.Buses["plc"].URL; url != want.url || c.plan().North.Topic != "acme/brno/"+name {
			t.Errorf("%s: bus %s, topic %s", name, url, c.Northbound.AWSIoT.Topic)
		}
	}
}

// write writes files, named by relative path, and returns the folder.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const north = "gateway: g\nnorthbound: {awsiot: {endpoint: 'x:8883', certificate: /c, private_key: /k, topic: t}}\n"

// What stands in a file or in the environment is used, and shown nowhere.
func TestSecrets(t *testing.T) {
	t.Setenv("FB_TEST_UNIT", "7")
	t.Setenv("FB_TEST_WRONG", "hunter2")
	dir := write(t, map[string]string{
		"right.yaml": north + "southbound: {modbus: {buses: {b: {url: 'tcp://${file:host}:502'}}, devices: {d: {bus: b, " +
			"unit_id: '${env:FB_TEST_UNIT}', points: {p: {coil: 1}}}}}}\n",
		"wrong.yaml": north + "southbound: {modbus: {buses: {b: {url: 'tcp://h:502'}}, devices: {d: {bus: b, unit_id: " +
			"'${env:FB_TEST_WRONG}', order: '${env:FB_TEST_WRONG}', points: {p: {coil: 1}}}}}}\n",
		"absent.yaml": north + "southbound: {modbus: {buses: {b: {url: 'tcp://${file:no}:502'}}, devices: {d: {bus: b, " +
			"unit_id: '${env:FB_TEST_NONE}', points: {p: {coil: 1}}}}}}\n",
		"host": "plc-1\n",
	})
	l := load(t, filepath.Join(dir, "right.yaml"))
	if m := l.Config.Southbound.Modbus; m.Devices["d"].UnitID != 7 || m.Buses["b"].URL != "tcp://plc-1:502" {
		t.Errorf("%+v", m)
	}
	if text := l.Render(true); strings.Contains(text, "plc-1") || !strings.Contains(text, "${file:host}") {
		t.Errorf("rendered:\n%s", text)
	}
	_, err := Load(t.Context(), filepath.Join(dir, "wrong.yaml"))
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Count(err.Error(), "${env:FB_TEST_WRONG}") != 2 {
		t.Errorf("%v", err)
	}
	l = load(t, filepath.Join(dir, "absent.yaml"))
	if plan := l.Plan(); len(plan.Buses) != 0 {
		t.Errorf("a plan of what is not known: %+v", plan.Buses)
	}
	var texts []string
	for _, p := range l.Missing {
		texts = append(texts, p.Text)
	}
	if all := strings.Join(texts, "\n"); !strings.Contains(all, "FB_TEST_NONE is not set") ||
		!strings.Contains(all, "no: no such file") {
		t.Errorf("missing: %s", all)
	}
}

// TestCaseC04: an environment variable that is not set is told as that and
// nothing else, wherever it stands; a default is used instead where there is one.
func TestCaseC04(t *testing.T) {
	t.Setenv("FB_TEST_EMPTY", "")
	t.Setenv("FB_TEST_SET", "from-here")
	const rest = "northbound: {awsiot: {endpoint: 'a-ats.iot.eu-west-1.amazonaws.com', certificate: /c, " +
		"private_key: /k, topic: 'plant/{gateway}'}}\nsouthbound: {modbus: {buses: {b: {url: 'tcp://h:502'}}, " +
		"devices: {d: {bus: b, points: {p: {coil: 1}}}}}}\n"
	for written, want := range map[string]string{
		"${env:FB_TEST_NONE:-gw-1}":           "gw-1",
		"${env:FB_TEST_EMPTY:-gw-1}":          "gw-1",
		"${env:FB_TEST_SET:-gw-1}":            "from-here",
		"line-${env:FB_TEST_NONE:-2}":         "line-2",
		"${env:FB_TEST_NONE:-a:-b}":           "a:-b",
		"${env:FB_TEST_SET}-${env:NO:-south}": "from-here-south",
	} {
		l, err := Parse("f.yaml", []byte("gateway: "+written+"\n"+rest))
		if err != nil {
			t.Errorf("%s: %v", written, err)
		} else if got := l.Config.Gateway; got != want {
			t.Errorf("%s: %q, want %q", written, got, want)
		}
	}
	for _, text := range []string{
		"gateway: ${env:FB_TEST_NONE}\n" + rest,
		"gateway: x-${env:FB_TEST_NONE}\n" + rest,
		"gateway: g\n" + strings.Replace(rest, "a-ats.iot.eu-west-1.amazonaws.com", "${env:FB_TEST_NONE}", 1),
		"gateway: g\n" + strings.Replace(rest, "plant/{gateway}", "${env:FB_TEST_NONE}", 1),
		"gateway: g\n" + strings.Replace(rest, "tcp://h:502", "${env:FB_TEST_NONE}", 1),
		"gateway: g\n" + strings.Replace(rest, "bus: b", "bus: '${env:FB_TEST_NONE}'", 1),
		"gateway: g\nlabels: {site: '${env:FB_TEST_NONE}'}\n" + rest,
		"gateway: g\nvars: {unit: '${env:FB_TEST_NONE}'}\n" +
			strings.Replace(rest, "bus: b", "bus: b, unit_id: '${unit}'", 1),
	} {
		l, err := Parse("f.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		told := 0
		for _, p := range append(l.Missing, l.Warnings...) {
			if strings.HasPrefix(p.Text, "the environment variable FB_TEST_NONE is not set") {
				told++
			} else if strings.Contains(p.String(), "FB_TEST_NONE") {
				t.Errorf("%s: also %v", text, p)
			}
		}
		if told != 1 {
			t.Errorf("%s: told %d times: %v", text, told, l.Missing)
		}
	}
	for _, name := range []string{"FB_TEST_NONE", "FB_TEST_SET"} {
		_, err := Parse("f.yaml", []byte("gateway: ${"+name+"}\n"+rest))
		if err == nil || !strings.Contains(err.Error(), "write ${env:"+name+"} for an environment variable") ||
			strings.Contains(err.Error(), "AWS") {
			t.Errorf("as a shell writes it: %v", err)
		}
	}
	_, err := Parse("f.yaml", []byte("gateway: ${env:FB_TEST_NONE:-${other}}\n"+rest))
	if err == nil || !strings.Contains(err.Error(), "the default of ${env:FB_TEST_NONE} has a variable in it") {
		t.Errorf("a variable as default: %v", err)
	}
}

// TestCaseW04: what editors of Windows put into files that the configuration takes.
func TestCaseW04(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "\ufeff" + north + "include: [b.yaml]\n",
		"b.yaml": "\ufeffsouthbound: {modbus: {buses: {b: {url: 'tcp://${file:host}:502'}}, " +
			"devices: {d: {bus: b, points: {p: {coil: 1}}}}}}\n",
		"host":   "\ufeffplc-1\r\n",
		"c.yaml": north + "southbound: {modbus: {buses: {b: {url: 'tcp://${file:wide}:502'}}}}\n",
		"wide":   "\xff\xfep\x00l\x00c\x00",
		"d.yaml": "g\x00a\x00t\x00e\x00",
	})
	if got := load(t, filepath.Join(dir, "a.yaml")).Config.Southbound.Modbus.Buses["b"].URL; got != "tcp://plc-1:502" {
		t.Errorf("%q", got)
	}
	l := load(t, filepath.Join(dir, "c.yaml"))
	if !slices.ContainsFunc(l.Missing,
		func(p tree.Problem) bool { return strings.Contains(p.String(), "wide is UTF-16: save it") }) {
		t.Errorf("%v", l.Missing)
	}
	if _, err := Load(t.Context(), filepath.Join(dir, "d.yaml")); err == nil ||
		!strings.Contains(err.Error(), "is UTF-16: save") {
		t.Errorf("%v", err)
	}
}

// The same content has the same hash, however it is written.
func TestHash(t *testing.T) {
	hash := func(text string) string {
		l, err := Parse("f.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return l.Hash
	}
	a := hash(north)
	if b := hash("# comment\n\n" + strings.ReplaceAll(north, "topic: t", "topic:   't'")); b == a {
		t.Error("quotes may change a value and must change the hash")
	}
	if b := hash("# comment\n\n" + north + "   # end\n"); b != a {
		t.Errorf("a comment changes the hash: %s, %s", a, b)
	}
	if b := hash(strings.ReplaceAll(north, "topic: t", "topic: u")); b == a {
		t.Error("another topic has the same hash")
	}
}

func TestWhichGateway(t *testing.T) {
	if l, err := LoadGateway(t.Context(), "examples/fleet.yaml", "brno-2"); err != nil || l.Config.Gateway != "brno-2" {
		t.Error(err)
	}
	tests := map[string]struct{ file, gateway, want string }{
		"near":  {"examples/fleet.yaml", "brno-3", `there is no gateway "brno-3" in the fleet: did you mean "brno-1"?`},
		"host":  {"examples/fleet.yaml", "", "which gateway of the fleet is this?"},
		"other": {"examples/first-run.yaml", "x", `this is the file of gateway "press-line-2", not of "x"`},
	}
	for name, test := range tests {
		if _, err := LoadGateway(t.Context(), test.file, test.gateway); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		needtest.Missing(t, "this host has no name")
	}
	dir := write(t, map[string]string{"fleet.yaml": "fleet: f\ndefaults: {" + strings.TrimPrefix(north, "gateway: g\n") +
		"}\ngateways: {\"" + host + "\": {}}\n"})
	if l, err := Load(t.Context(), filepath.Join(dir, "fleet.yaml")); err != nil || l.Config.Gateway != host {
		t.Errorf("%v", err)
	}
}

// TestFleetSize: each gateway knows how many may lose the cloud together, and one
// more does not change the others.
func TestFleetSize(t *testing.T) {
	for _, tt := range []struct {
		gateways, want int
		given          string
	}{
		{1, 1, ""}, {500, 1, ""}, {501, 1000, ""}, {999, 1000, ""}, {1001, 1500, ""}, {600, 1000, "backoff: {min: 2s}"},
		{600, 7, "backoff: {gateways: 7}"},
	} {
		text := fmt.Sprintf("fleet: f\ndefaults: {northbound: {awsiot: {endpoint: e.example, certificate: c, private_key: "+
			"k, topic: t, %s}}}\n"+
			"gateways: {\"g-{1..%d}\": {}}\n", tt.given, tt.gateways)
		file := filepath.Join(write(t, map[string]string{"fleet.yaml": text}), "fleet.yaml")
		l := loadFrom(t, loadFleet(t, file), "g-1")
		if got := l.Config.Northbound.AWSIoT.Backoff.Gateways; got != tt.want {
			t.Errorf("%d gateways, %q: %d, want %d", tt.gateways, tt.given, got, tt.want)
		}
		// What is rendered says so, too.
		alone, err := Parse("g-1.yaml", []byte(l.Render(false)))
		if err != nil || alone.Config.Northbound.AWSIoT.Backoff != l.Config.Northbound.AWSIoT.Backoff {
			t.Errorf("%d gateways: rendered and read again: %v, %v", tt.gateways, alone, err)
		}
	}
}

// largeFleet writes a fleet of n gateways with 200 points each, from 5 profiles.
func largeFleet(t testing.TB, n int) string {
	var b strings.Builder
	b.WriteString("fleet: large\ndefaults: {" + strings.TrimSpace(strings.TrimPrefix(north, "gateway: g\n")) +
		"}\nprofiles:\n")
	for p := range 5 {
		b.WriteString("  p" + strconv.Itoa(p) + ":\n    points:\n")
		for i := range 40 {
			b.WriteString("      v" + string(rune('a'+i/10)) + string(rune('0'+i%10)) + ": {holding: " + strconv.Itoa(2*i) +
				", type: float32, scale: 0.1, unit: \"°C\"}\n")
		}
	}
	b.WriteString("gateways:\n  \"g-{1.." + strconv.Itoa(n) +
		"}\":\n    southbound:\n      modbus:\n        buses: {plc: {url: \"tcp://10.0.0.1:502\"}}\n        devices:\n")
	for p := range 5 {
		b.WriteString("          d" + strconv.Itoa(p) + ": {bus: plc, unit_id: " + strconv.Itoa(p+1) + ", profile: p" +
			strconv.Itoa(p) + "}\n")
	}
	return filepath.Join(write(t, map[string]string{"fleet.yaml": b.String()}), "fleet.yaml")
}

// loadLargeFleet loads all gateways of a fleet and returns how many points they
// have.
func loadLargeFleet(t testing.TB, file string) (points int) {
	all, err := loadFleet(t, file).LoadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		for _, d := range l.Config.Southbound.Modbus.Devices {
			points += len(d.Points)
		}
	}
	return points
}

func TestLargeFleet(t *testing.T) {
	if points := loadLargeFleet(t, largeFleet(t, 40)); points != 40*200 {
		t.Errorf("%d points", points)
	}
}

// BenchmarkLargeFleet is what a pipeline waits for: 1,000 gateways.
func BenchmarkLargeFleet(b *testing.B) {
	file := largeFleet(b, 1000)
	for b.Loop() {
		if points := loadLargeFleet(b, file); points != 200_000 {
			b.Errorf("%d points", points)
		}
	}
}

// TestGroupsOfFleet: a gateway that takes signed orders knows its groups, unless it names
// others; for one that takes none nothing changes.
func TestGroupsOfFleet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fleet.yaml")
	const text = `fleet: plant
defaults: {northbound: {awsiot: {endpoint: e, certificate: c.pem, private_key: k.pem, topic: t}}}
groups:
  north: {}
  south: {}
  orders: {updates: {threshold: 1}}
  named: {updates: {groups: [elsewhere]}}
gateways:
  a: {groups: [north, orders]}
  b: {groups: [south]}
  c: {groups: [named, south]}
  d: {updates: {threshold: 1}}
  e: {groups: [orders], updates: {groups: []}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := loadFleet(t, file)
	for name, want := range map[string][]string{"a": {"north", "orders"}, "b": nil, "c": {"elsewhere"}, "d": nil,
		"e": nil} {
		if got := loadFrom(t, f, name).Config.Updates.Groups; !slices.Equal(got, want) {
			t.Errorf("%s is of %v, want %v", name, got, want)
		}
	}
}
