package fieldbridge_test

import (
	"slices"
	"strings"
	"testing"
)

// drivers are the third-party modules that only certain packages may know.
var drivers = map[string][]string{
	"github.com/goburrow/":               {"fieldbridge/southbound/modbus"},
	"go.yaml.in/yaml":                    {"fieldbridge/configs/tree"},
	"go.etcd.io/bbolt":                   {"fieldbridge/store/segment"},
	"github.com/klauspost/compress/zstd": {"fieldbridge/store/block"},
	"github.com/spf13/":                  {"fieldbridge/cmd"},
	"github.com/eclipse/paho": {"fieldbridge/southbound/mqtt/site", "fieldbridge/southbound/mqtt/mqtttest",
		"fieldbridge/northbound/awsiot/uplink", "fieldbridge/northbound/awsiot/identity"},
	"github.com/tidwall/gjson":   {"fieldbridge/southbound/mqtt/payload"},
	"google.golang.org/protobuf": {"fieldbridge/southbound/mqtt/sparkplug"},
	"github.com/mochi-mqtt/":     {"fieldbridge/southbound/mqtt/broker", "fieldbridge/northbound/awsiot/awsiottest"},
}

// knowsAll are the packages that may import more than one adapter, with what is
// below them.
var knowsAll = []string{"fieldbridge/cmd", "fieldbridge/configs", "fieldbridge/gateway"}

// mayKnowAll reports whether from may import more than one adapter.
func mayKnowAll(from string) bool {
	return slices.ContainsFunc(knowsAll, func(dir string) bool { return within(from, dir) })
}

// ground are the packages that import the standard library alone.
var ground = []string{"fieldbridge/bridge", "fieldbridge/setting", "fieldbridge/socket", "fieldbridge/pause",
	"fieldbridge/condition"}

// within reports whether path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func isTestPackage(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasSuffix(part, "test") {
			return true
		}
	}
	return false
}

// adapter returns the adapter that path belongs to, or "".
func adapter(path string) string {
	for _, a := range []string{"fieldbridge/southbound/modbus", "fieldbridge/southbound/mqtt",
		"fieldbridge/northbound/awsiot", "fieldbridge/store"} {
		if within(path, a) {
			return a
		}
	}
	return ""
}

// forbidden says why from may not import to, or "".
func forbidden(from, to string) string {
	for prefix, owners := range drivers {
		if strings.HasPrefix(to, prefix) && !slices.ContainsFunc(owners, func(o string) bool { return within(from, o) }) {
			return "only " + strings.Join(owners, " and ") + " may import " + prefix
		}
	}
	if !strings.HasPrefix(to, "fieldbridge/") {
		if slices.Contains(ground, from) && strings.Contains(strings.Split(to, "/")[0], ".") {
			return from + " stands on the ground: it imports the standard library alone"
		}
		return ""
	}
	if isTestPackage(to) && !isTestPackage(from) && !within(from, "fieldbridge/cmd") {
		return "*test packages are for tests and the commands demo and cloud"
	}
	if slices.Contains(ground, from) {
		return from + " stands on the ground: it imports the standard library alone"
	}
	if a := adapter(to); a != "" && !within(from, a) && !mayKnowAll(from) {
		return "only cmd, configs and gateway know adapters; adapters do not know one another"
	}
	if within(to, "fieldbridge/configs") && !mayKnowAll(from) {
		return "only gateway and cmd stand above configs"
	}
	for _, roof := range []string{"fieldbridge/gateway", "fieldbridge/cmd"} {
		if within(to, roof) && !within(from, roof) && !within(from, "fieldbridge/cmd") {
			return "nothing but cmd stands above"
		}
	}
	if (to == "fieldbridge/gateway" || to == "fieldbridge/southbound/mqtt") && within(from, to) {
		return "a room never imports its parent"
	}
	return ""
}

// TestImports checks the walls of the house: who may import whom.
func TestImports(t *testing.T) {
	count := 0
	for _, p := range list(t, "./...") {
		count++
		for _, to := range p.Imports {
			if why := forbidden(p.ImportPath, to); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, to, why)
			}
		}
		for _, name := range []string{"util", "common", "types", "helpers", "pkg", "misc"} {
			if slices.Contains(strings.Split(p.ImportPath, "/"), name) {
				t.Errorf("%s: no package is called %q: name the idea", p.ImportPath, name)
			}
		}
	}
	if count < 5 {
		t.Errorf("go list knows only %d packages: the check sees nothing", count)
	}
}

// TestForbidden makes sure that the check would see a breach.
func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{
		{"fieldbridge/bridge", "fieldbridge/store", false},
		{"fieldbridge/bridge", "fieldbridge/setting", false},
		{"fieldbridge/socket", "golang.org/x/sys/unix", false},
		{"fieldbridge/bridge", "golang.org/x/time/rate", false},
		{"fieldbridge/bridge", "log/slog", true},
		{"fieldbridge/store", "fieldbridge/southbound/modbus", false},
		{"fieldbridge/store", "go.etcd.io/bbolt", false},
		{"fieldbridge/store/segment", "go.etcd.io/bbolt", true},
		{"fieldbridge/configs", "go.etcd.io/bbolt", false},
		{"fieldbridge/cmd/fieldbridge", "github.com/spf13/cobra", true},
		{"fieldbridge/gateway", "github.com/spf13/cobra", false},
		{"fieldbridge/southbound/mqtt", "fieldbridge/northbound/awsiot", false},
		{"fieldbridge/southbound/mqtt/site", "github.com/eclipse/paho.golang/paho", true},
		{"fieldbridge/southbound/mqtt", "github.com/eclipse/paho.golang/paho", false},
		{"fieldbridge/southbound/mqtt", "github.com/mochi-mqtt/server/v2", false},
		{"fieldbridge/southbound/mqtt/broker", "github.com/mochi-mqtt/server/v2", true},
		{"fieldbridge/southbound/mqtt/broker", "fieldbridge/southbound/mqtt/inlet", true},
		{"fieldbridge/southbound/mqtt/broker", "fieldbridge/southbound/mqtt", false},
		{"fieldbridge/southbound/mqtt/payload", "github.com/tidwall/gjson", true},
		{"fieldbridge/southbound/mqtt", "google.golang.org/protobuf/encoding/protowire", false},
		{"fieldbridge/southbound/modbus/wire", "github.com/goburrow/modbus", true},
		{"fieldbridge/configs", "go.yaml.in/yaml/v4", false},
		{"fieldbridge/configs/tree", "go.yaml.in/yaml/v4", true},
		{"fieldbridge/configs", "fieldbridge/store", true},
		{"fieldbridge/configs", "fieldbridge/northbound/awsiot/awsiottest", false},
		{"fieldbridge/cmd/fieldbridge", "fieldbridge/northbound/awsiot/awsiottest", true},
		{"fieldbridge/store", "fieldbridge/configs", false},
		{"fieldbridge/store", "fieldbridge/gateway", false},
		{"fieldbridge/configs", "fieldbridge/gateway/control", false},
		{"fieldbridge/gateway", "fieldbridge/configs", true},
		{"fieldbridge/gateway", "fieldbridge/gateway/control", true},
		{"fieldbridge/gateway", "fieldbridge/northbound/awsiot/awsiottest", false},
		{"fieldbridge/gateway/control", "fieldbridge/gateway", false},
		{"fieldbridge/cmd/fieldbridge/demo", "fieldbridge/gateway", true},
		{"fieldbridge/cmd/fieldbridge/demo", "fieldbridge/northbound/awsiot/awsiottest", true},
		{"fieldbridge/console", "fieldbridge/store", false},
	} {
		if got := forbidden(tt.from, tt.to) == ""; got != tt.ok {
			t.Errorf("%s imports %s: allowed %v, want %v", tt.from, tt.to, got, tt.ok)
		}
	}
}
