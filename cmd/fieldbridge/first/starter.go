// Package first makes the first configuration of a gateway: by asking who sits at a
// terminal or by what flags say, with a look at the device itself.
package first

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"fieldbridge/configs"
	"fieldbridge/configs/profiles"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
)

// Starter is what a first configuration is made of.
type Starter struct {
	Gateway  string // the AWS thing name
	Endpoint string // the AWS IoT data endpoint
	Bus      setup.Bus
	Devices  []Device // on the bus; none is one with an example of a point
	Sensors  bool     // whether an embedded broker listens for MQTT sensors
	Queue    string   // the folder of the queue; "" is beside the file
}

// QueueOf returns where the queue of a file belongs: of one in /etc, which a service
// may not write to, that is the folder of its name in /var/lib.
func QueueOf(file string) string {
	path, err := filepath.Abs(file)
	if name, ok := strings.CutPrefix(filepath.Dir(path), "/etc/"); err == nil && ok {
		return filepath.Join("/var/lib", name, "queue")
	}
	return ""
}

// Device is a device of a first configuration.
type Device struct {
	Name    string
	Unit    int
	Profile string // "" is one with an example of a point
}

// Serial reports whether the bus is a serial port.
func (s Starter) Serial() bool {
	a, err := wire.ParseURL(s.Bus.URL)
	return err == nil && a.Serial()
}

// YAML returns a commented file that loads without errors, if its values are
// possible.
func (s Starter) YAML() string {
	if s.Bus.URL != "" && s.Devices == nil {
		s.Devices = []Device{{Name: "device-1", Unit: 1}}
	}
	if s.Endpoint == "" {
		s.Endpoint = configs.ExampleEndpoint
	}
	var b strings.Builder
	fmt.Fprintf(&b, starterHead, tree.Text(s.Gateway, true), tree.Text(s.Endpoint, true),
		tree.Text(cmp.Or(s.Queue, "queue"), true))
	if s.Bus.URL != "" {
		s.modbus(&b)
	}
	if s.Sensors {
		b.WriteString(starterSensors)
	}
	if s.Bus.URL == "" && !s.Sensors {
		b.WriteString(starterNothing)
	}
	b.WriteString(starterEnd)
	return b.String()
}

// modbus writes the bus and its devices.
func (s Starter) modbus(b *strings.Builder) {
	url, name := tree.Text(s.Bus.URL, true), "plc"
	b.WriteString("  modbus:\n    buses:\n")
	if s.Serial() {
		name = "line"
		fmt.Fprintf(b, "      line: {url: %s, baud: %v, parity: %v, stop_bits: %v", url, s.Bus.Baud, s.Bus.Parity,
			s.Bus.StopBits)
		if s.Bus.DataBits != 0 {
			fmt.Fprintf(b, ", data_bits: %v", s.Bus.DataBits)
		}
		b.WriteString("}\n")
	} else {
		fmt.Fprintf(b, "      plc: {url: %s}\n", url)
	}
	b.WriteString("    devices:\n")
	for _, d := range s.Devices {
		fmt.Fprintf(b, starterDevice, tree.Text(d.Name, true), name, d.Unit)
		if d.Profile != "" {
			fmt.Fprintf(b, "        profile: %s\n", d.Profile)
		} else {
			b.WriteString(starterPoints)
		}
	}
}

// Parse makes the configuration of s, as it is in file; the error says in words of
// the values, not of the file, what does not fit.
func (s Starter) Parse(file string) (*configs.Loaded, error) {
	l, err := configs.Parse(file, []byte(s.YAML()))
	wrong, ok := err.(*tree.Error)
	if !ok {
		return l, err
	}
	var texts []string
	for _, p := range wrong.Problems {
		texts = append(texts, strings.TrimSuffix(p.Text+": "+p.Fix, ": "))
	}
	return nil, fmt.Errorf("%s", strings.Join(texts, "\n"))
}

// SetBus takes the address of a Modbus device as people write it: HOST, HOST:PORT,
// the path of a serial port, or the URL of a bus.
func (s *Starter) SetBus(address string) error {
	url := address
	switch {
	case address == "":
		s.Bus.URL = ""
		return nil
	case strings.HasPrefix(address, "/"):
		url = "rtu://" + address
	case !strings.Contains(address, "://"):
		url = "tcp://" + address
	}
	if _, err := wire.ParseURL(url); err != nil {
		return err
	}
	s.Bus.URL = url
	return nil
}

// knownProfile says whether there is a profile of that name.
func knownProfile(name string) error {
	if profiles.Find(name) != nil {
		return nil
	}
	return fmt.Errorf("there is no profile %q: %s", name,
		setting.Meant(name, profiles.Names(), "'fieldbridge profiles' lists them"))
}
