package fieldbridge_test

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// drivers are the modules that only the rooms named may import: what another
// project does stands in one place. A room that ends in / stands for those below
// it, too. Another importer is added in a commit of its own that says why.
var drivers = map[string][]string{
	"go.etcd.io/bbolt":                   {"store/segment"},
	"github.com/klauspost/compress/zstd": {"store/block"},
	"github.com/mochi-mqtt/server":       {"southbound/mqtt/broker", "northbound/awsiot/awsiottest/"},
	"github.com/eclipse/paho": {
		"southbound/mqtt/site", "southbound/mqtt/mqtttest", "northbound/awsiot/uplink", "northbound/awsiot/identity",
	},
	"github.com/goburrow/":       {"southbound/modbus/wire"},
	"github.com/godbus/":         {"gateway/rauc"},
	"go.yaml.in/yaml":            {"configs/tree"},
	"github.com/tidwall/gjson":   {"southbound/mqtt/payload"},
	"google.golang.org/protobuf": {"southbound/mqtt/sparkplug", "southbound/mqtt/sparkplug/sparkplugtest"},
	"github.com/spf13/":          {"cmd/fieldbridge/", "cmd/fieldbridge-fleet"},
	// The gateway itself does without: megabytes, and credentials that it must not have.
	"github.com/aws/":        {"cmd/fieldbridge-fleet/account"},
	"github.com/gorilla/":    {"southbound/mqtt/websocket"},
	"github.com/chromedp/":   {}, // tests alone: it must not be in the program
	"golang.org/x/net/proxy": {"northbound/awsiot/uplink"},
	// It makes a program need the C library: the gateway does without.
	"github.com/ebitengine/purego": {"cmd/fieldbridge-p11"},
	// A template calls methods by their names, so that the linker keeps every method of
	// every type: 2.4 MiB. The others are as large and have no use here.
	"text/template": {"bench/"}, "html/template": {}, "encoding/gob": {}, "net/rpc": {},
	"unsafe": {"socket", "pause", "southbound/modbus/wire", "southbound/mqtt/topic", "store/journal",
		"cmd/fieldbridge-p11"},
}

// ground are the rooms that import the standard library alone.
var ground = []string{"bridge", "setting", "socket", "order", "pause", "condition", "budget", "blackbox", "plain",
	"pulse"}

// adapters know one another only through bridge; knowsAll may know several.
var (
	adapters = []string{"southbound/modbus", "southbound/mqtt", "northbound/awsiot", "store"}
	knowsAll = []string{"cmd", "configs", "gateway"}
)

// drawn are the rooms of a wing that a room may import, as docs/architecture.md
// draws them.
var drawn = map[string][]string{
	"store/segment": {"store/block", "store/disk"},
	"store/books":   {"store/block", "store/flash", "store/thin"},
	"store/memory":  {"store/block", "store/books"},
	"store/folder": {"store/block", "store/books", "store/disk", "store/journal", "store/segment",
		"store/origins", "store/thin"},
	"store/origins":            {"store/books", "store/disk"},
	"store/journal":            {"store/block", "store/disk"},
	"store/space":              {"store/disk"},
	"store/state":              {"store/disk"},
	"store/terms":              {"store/journal"},
	"store/figures":            {"store/flash"},
	"southbound/modbus/point":  {"southbound/modbus/wire"},
	"southbound/modbus/plan":   {"southbound/modbus/point", "southbound/modbus/wire"},
	"southbound/modbus/permit": {"southbound/modbus/point", "southbound/modbus/wire"},
	"southbound/modbus/set":    {"southbound/modbus/plan", "southbound/modbus/point", "southbound/modbus/wire"},
	"southbound/modbus/commission": {
		"southbound/modbus/plan", "southbound/modbus/point", "southbound/modbus/set", "southbound/modbus/wire",
	},
	"southbound/modbus/poll": {
		"southbound/modbus/grid", "southbound/modbus/plan", "southbound/modbus/point", "southbound/modbus/set",
		"southbound/modbus/spec",
		"southbound/modbus/turn", "southbound/modbus/upkeep", "southbound/modbus/wire",
	},
	"southbound/modbus/upkeep": {"southbound/modbus/point"},
	"southbound/modbus/spec": {
		"southbound/modbus/plan", "southbound/modbus/point", "southbound/modbus/upkeep", "southbound/modbus/wire",
	},
	"southbound/modbus/setup": {
		"southbound/modbus/permit", "southbound/modbus/plan", "southbound/modbus/point", "southbound/modbus/set",
		"southbound/modbus/spec", "southbound/modbus/upkeep", "southbound/modbus/wire",
	},
	"southbound/mqtt/inlet":      {"southbound/mqtt/topic"},
	"southbound/mqtt/attendance": {"southbound/mqtt/payload"},
	"southbound/mqtt/payload": {"southbound/mqtt/loose", "southbound/mqtt/packed", "southbound/mqtt/topic",
		"southbound/mqtt/units"},
	"southbound/mqtt/sparkplug": {"southbound/mqtt/packed", "southbound/mqtt/payload"},
	"southbound/mqtt/broker": {"southbound/mqtt/inlet", "southbound/mqtt/kept", "southbound/mqtt/topic",
		"southbound/mqtt/trouble",
		"southbound/mqtt/websocket", "southbound/mqtt/weigh"},
	"southbound/mqtt/site":             {"southbound/mqtt/inlet", "southbound/mqtt/topic", "southbound/mqtt/websocket"},
	"northbound/awsiot/payload":        {"northbound/awsiot/payload/proto"},
	"northbound/awsiot/numbers":        {"northbound/awsiot/payload/proto"},
	"northbound/awsiot/uplink":         {"northbound/awsiot/payload"},
	"northbound/awsiot/remote":         {"northbound/awsiot/payload", "northbound/awsiot/uplink"},
	"northbound/awsiot/remote/jobs":    {"northbound/awsiot/payload", "northbound/awsiot/uplink"},
	"northbound/awsiot/remote/fetch":   {"northbound/awsiot/uplink"},
	"northbound/awsiot/identity":       {"northbound/awsiot/uplink"},
	"northbound/awsiot/identity/enrol": {"northbound/awsiot/uplink"},
	"northbound/awsiot/identity/life": {"northbound/awsiot/identity/enrol", "northbound/awsiot/identity/kept",
		"northbound/awsiot/identity/key", "northbound/awsiot/uplink"},
	"configs/fleet":                  {"configs/keys", "configs/tree"},
	"configs/profiles":               {"configs/tree"},
	"configs/sensors":                {"configs/profiles", "configs/tree"},
	"configs/laid":                   {"configs/profiles", "configs/sensors", "configs/tree"},
	"gateway/control":                {"gateway/change", "gateway/export"},
	"gateway/support":                {"gateway/control"},
	"gateway/orders":                 {"gateway/change"},
	"northbound/awsiot/identity/key": {"northbound/awsiot/identity/token", "northbound/awsiot/identity/tpm"},
}

// within reports whether room is dir or below it.
func within(room, dir string) bool { return room == dir || strings.HasPrefix(room, dir+"/") }

// owns reports whether one of the rooms named is room.
func owns(named []string, room string) bool {
	return slices.ContainsFunc(named, func(n string) bool {
		return n == room || strings.HasSuffix(n, "/") && within(room, strings.TrimSuffix(n, "/"))
	})
}

func isTestPackage(room string) bool {
	for part := range strings.SplitSeq(room, "/") {
		if strings.HasSuffix(part, "test") {
			return true
		}
	}
	return false
}

// wing returns the adapter, or another part with rooms, that room belongs to.
func wing(room string) string {
	for _, w := range append([]string{"configs", "gateway"}, adapters...) {
		if within(room, w) {
			return w
		}
	}
	return ""
}

// forbidden says why a room may not import to, or "". Rooms are named without
// the module's name; whatever else it imports is named in full.
func forbidden(from, to string) string {
	for driver, owners := range drivers {
		if (to == driver || strings.HasPrefix(to, driver)) && !owns(owners, from) {
			return "only " + strings.Join(owners, " and ") + " may import " + driver
		}
	}
	room, ours := strings.CutPrefix(to, "fieldbridge/")
	switch {
	case slices.Contains(ground, from) && (ours || strings.Contains(strings.Split(to, "/")[0], ".")):
		return from + " stands on the ground: it imports the standard library alone"
	case !ours:
		return ""
	case isTestPackage(room) && !isTestPackage(from) && !within(from, "cmd"):
		return "*test packages are for tests and the commands demo and cloud"
	case room == path.Dir(from) && !isTestPackage(from):
		return "a room never imports its parent"
	}
	mayKnowAll := slices.ContainsFunc(knowsAll, func(dir string) bool { return within(from, dir) })
	w := wing(room)
	switch {
	case slices.Contains(adapters, w) && !within(from, w) && !mayKnowAll:
		return "only cmd, configs and gateway know adapters; adapters do not know one another"
	case w == "configs" && !mayKnowAll:
		return "only gateway and cmd stand above configs"
	case (w == "gateway" || within(room, "cmd")) && !within(from, w) && !within(from, "cmd"):
		return "nothing but cmd stands above"
	case w != "" && within(from, w) && from != w && !isTestPackage(from) && !isTestPackage(room) &&
		!slices.Contains(drawn[from], room):
		return "docs/architecture.md draws no arrow here"
	}
	return ""
}

// TestImports checks the walls of the house: who may import whom.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t, "./...") {
		from := strings.TrimPrefix(p.ImportPath, "fieldbridge/")
		seen[from] = true
		for _, to := range p.Imports {
			if why := forbidden(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
		for _, name := range []string{"util", "common", "types", "helpers", "pkg", "misc", "internal"} {
			if slices.Contains(strings.Split(from, "/"), name) {
				t.Errorf("%s: no package is called %q: name the idea", from, name)
			}
		}
	}
	for _, named := range [][]string{ground, pure, adapters} {
		for _, room := range named {
			if !seen[room] {
				t.Errorf("the rules name %s, and there is no such room", room)
			}
		}
	}
}

// TestForbidden makes sure that the check would see each breach.
func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{
		{"bridge", "fieldbridge/store", false},
		{"bridge", "fieldbridge/setting", false},
		{"socket", "golang.org/x/sys/unix", false},
		{"bridge", "golang.org/x/time/rate", false},
		{"bridge", "log/slog", true},
		{"store", "fieldbridge/southbound/modbus", false},
		{"store/segment", "go.etcd.io/bbolt", true},
		{"store", "go.etcd.io/bbolt", false},
		{"configs", "go.etcd.io/bbolt", false},
		{"store/segment", "github.com/klauspost/compress/zstd", false},
		{"southbound/mqtt", "fieldbridge/northbound/awsiot", false},
		{"southbound/mqtt/site", "github.com/eclipse/paho.golang/paho", true},
		{"southbound/mqtt", "github.com/eclipse/paho.golang/paho", false},
		{"southbound/mqtt/broker", "github.com/mochi-mqtt/server/v2", true},
		{"southbound/mqtt/site", "github.com/mochi-mqtt/server/v2/packets", false},
		{"northbound/awsiot/awsiottest/session", "github.com/mochi-mqtt/server/v2", true},
		{"southbound/modbus/wire", "github.com/goburrow/modbus", true},
		{"southbound/modbus/poll", "github.com/goburrow/modbus", false},
		{"southbound/modbus/poll", "fieldbridge/southbound/modbus", false},
		{"southbound/modbus/poll", "fieldbridge/southbound/modbus/set", true},
		{"southbound/modbus/poll", "fieldbridge/southbound/modbus/commission", false},
		{"southbound/modbus/plan", "fieldbridge/southbound/modbus/poll", false},
		{"southbound/modbus/plan", "fieldbridge/southbound/mqtt/topic", false},
		{"southbound/modbus/modbustest", "fieldbridge/southbound/modbus/wire", true},
		{"configs/tree", "go.yaml.in/yaml/v4", true},
		{"configs", "go.yaml.in/yaml/v4", false},
		{"southbound/mqtt/topic", "unsafe", true},
		{"store/segment", "unsafe", false},
		{"configs", "fieldbridge/store", true},
		{"configs", "fieldbridge/northbound/awsiot/awsiottest", false},
		{"cmd/fieldbridge", "fieldbridge/northbound/awsiot/awsiottest", true},
		{"store", "fieldbridge/configs", false},
		{"store", "fieldbridge/gateway", false},
		{"configs", "fieldbridge/gateway/control", false},
		{"gateway", "fieldbridge/configs", true},
		{"gateway", "fieldbridge/gateway/control", true},
		{"gateway", "fieldbridge/northbound/awsiot/awsiottest", false},
		{"gateway/control", "fieldbridge/gateway", false},
		{"cmd/fieldbridge/demo", "fieldbridge/gateway", true},
		{"cmd/fieldbridge/demo", "fieldbridge/northbound/awsiot/awsiottest", true},
		{"cmd/fieldbridge/demo", "fieldbridge/cmd/fieldbridge", false},
		{"console", "fieldbridge/store", false},
		{"console", "github.com/chromedp/chromedp", false},
		{"console/page", "html/template", false},
		{"bench/cmd/edgebench", "text/template", true},
		{"cmd/fieldbridge", "github.com/ebitengine/purego", false},
		{"northbound/awsiot/identity/token", "github.com/ebitengine/purego", false},
	} {
		if got := forbidden(tt.from, tt.to) == ""; got != tt.ok {
			t.Errorf("%s imports %s: allowed %v, want %v", tt.from, tt.to, got, tt.ok)
		}
	}
}
