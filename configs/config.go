package configs

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"fieldbridge/configs/labels"
	"fieldbridge/console"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
	"fieldbridge/signed"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/store/terms"
	"fieldbridge/vitals"
)

// Config is what a gateway's file says. Each section belongs to the package that
// it configures.
type Config struct {
	// Gateway is the name of the gateway: its AWS thing name and, unless
	// northbound.awsiot.client_id says otherwise, its MQTT client id. 1 to 128
	// letters, digits, ':', '_' or '-'.
	Gateway string `yaml:"gateway"`
	// Watch applies the file, and those that it includes, when it changes.
	// Otherwise 'fieldbridge reload' or SIGHUP does.
	Watch bool `yaml:"watch"`
	// Memory is how much memory the gateway may use, 32MiB or more. The default is the
	// limit of the control group (systemd's MemoryMax, a container's), or a quarter of
	// the machine's memory. What sensors may make it keep is a quarter of it, of the
	// default 32 MiB at most. A sixteenth, 8 MiB by default at most, is for readings
	// that are not on disk, half as much for store.journal.
	Memory setting.Size `yaml:"memory"`
	// Labels say where the gateway is or whose, as site: brno. {label.site} in
	// topics stands for the value. Names are [a-z][a-z0-9_]*.
	Labels map[string]string `yaml:"labels"`
	// Log says what is logged, on stderr.
	Log Log `yaml:"log"`
	// Northbound is where readings go.
	Northbound Northbound `yaml:"northbound"`
	// Store is where readings wait until the cloud has them.
	Store terms.Config `yaml:"store"`
	// Southbound is where readings come from.
	Southbound Southbound `yaml:"southbound"`
	// Console is what an operator looks at.
	Console console.Config `yaml:"console"`
	// Health makes a device of the gateway: how it is, as points among the others.
	Health vitals.Config `yaml:"health"`
	// Updates says whose signed orders the gateway takes. Without keys it takes none: no
	// job can change its configuration or its program.
	Updates signed.Settings `yaml:"updates"`
}

// Log is the section log.
type Log struct {
	// Level is the least that is logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text for people and journald, or json for programs.
	Format string `yaml:"format"`
}

// Northbound is the section northbound.
type Northbound struct {
	// AWSIoT is the session with AWS IoT Core.
	AWSIoT awsiot.Config `yaml:"awsiot"`
}

// Southbound is the section southbound.
type Southbound struct {
	// Modbus are buses and the devices on them.
	Modbus setup.Config `yaml:"modbus"`
	// MQTT are brokers and the rules for sensors that publish there.
	MQTT mqtt.Config `yaml:"mqtt"`
}

// SetDefaults sets what is used where the file says nothing.
func (l *Log) SetDefaults() {
	*l = Log{Level: "info", Format: "text"}
}

// Validate returns what is wrong with l.
func (l Log) Validate() []setting.Problem {
	var found setting.Found
	oneOf(&found, "level", l.Level, "debug", "info", "warn", "error")
	oneOf(&found, "format", l.Format, "text", "json")
	return found
}

func oneOf(found *setting.Found, key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	last := len(allowed) - 1
	fix := "use " + strings.Join(allowed[:last], ", ") + " or " + allowed[last]
	found.Add(fmt.Sprintf("there is no %s %q", key, value), setting.Meant(value, allowed, fix), key)
}

// Validate returns everything that is wrong with c: what each section finds, and
// what only shows when they are seen together.
func (c *Config) Validate() []setting.Problem {
	var found setting.Found
	section := func(problems []setting.Problem, path ...string) {
		found = append(found, setting.Under(path, problems)...)
	}
	c.checkName(&found)
	section(labels.Validate(c.Labels), "labels")
	if c.Memory != 0 && c.Memory < 32<<20 {
		found.Add(fmt.Sprintf("memory is %s", c.Memory), "use 32MiB or more, or leave it out", "memory")
	}
	section(c.Log.Validate(), "log")
	if reflect.DeepEqual(c.Northbound.AWSIoT, northDefaults()) {
		found.Add("nothing says where readings go",
			"add northbound: awsiot: with endpoint, certificate, private_key and topic", "northbound")
	} else {
		section(c.Northbound.AWSIoT.Validate(c.Gateway, c.Labels), "northbound", "awsiot")
	}
	section(c.Store.Validate(), "store")
	section(c.Southbound.Modbus.Validate(), "southbound", "modbus")
	section(c.Southbound.MQTT.Validate(), "southbound", "mqtt")
	section(c.Console.Validate(), "console")
	section(c.Health.Validate(), "health")
	section(c.Updates.Validate(), "updates")
	c.crossCheck(&found)
	return found
}

func northDefaults() awsiot.Config {
	var c awsiot.Config
	c.SetDefaults()
	return c
}

// nameBytes are what AWS allows in thing names.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-"

func (c *Config) checkName(found *setting.Found) {
	wrong := strings.IndexFunc(c.Gateway, func(r rune) bool { return !strings.ContainsRune(nameBytes, r) })
	switch {
	case c.Gateway == "":
		found.Add("the gateway has no name", "add gateway: NAME, its AWS thing name", "gateway")
	case wrong >= 0:
		r, _ := utf8.DecodeRuneInString(c.Gateway[wrong:])
		found.Add(fmt.Sprintf("the gateway's name has %q, which AWS does not allow in thing names", r),
			"use letters, digits, :, _ and -", "gateway")
	case len(c.Gateway) > 128:
		found.Add(fmt.Sprintf("the gateway's name has %d characters", len(c.Gateway)),
			"use at most 128, as AWS does for thing names", "gateway")
	}
}

// ClientID returns the MQTT client id that the gateway uses at the cloud.
func (c *Config) ClientID() string { return cmp.Or(c.Northbound.AWSIoT.ClientID, c.Gateway) }
