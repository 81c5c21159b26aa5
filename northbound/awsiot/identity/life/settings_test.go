package life

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

func TestValidate(t *testing.T) {
	labels := map[string]string{"site": "hall 3"}
	for name, c := range map[string]struct {
		change func(s *Settings)
		want   string // of the problem; "" is none
	}{
		"nothing":            {func(s *Settings) { *s = Settings{RotateAfter: s.RotateAfter} }, ""},
		"all":                {func(*Settings) {}, ""},
		"claim alone":        {func(s *Settings) { s.Provision.Template, s.Provision.Parameters = "", nil }, "no template"},
		"parameters alone":   {func(s *Settings) { s.Provision.Template, s.Provision.Claim = "", "" }, "no template"},
		"long template":      {func(s *Settings) { s.Provision.Template = strings.Repeat("a", 37) }, "no template called"},
		"template of a path": {func(s *Settings) { s.Provision.Template = "a/b" }, "no template called"},
		"unknown name":       {func(s *Settings) { s.Provision.Parameters["X"] = "{imei}" }, "{imei}"},
		"unknown label":      {func(s *Settings) { s.Provision.Parameters["X"] = "{label.hall}" }, "no label"},
		"half a path":        {func(s *Settings) { s.Provision.Parameters["X"] = "{file:a}" }, "whole path"},
		"no name":            {func(s *Settings) { s.Provision.Parameters[""] = "x" }, "no parameter called"},
		"key elsewhere":      {func(s *Settings) { s.Key = "drawer" }, "no place for keys"},
		"every hour":         {func(s *Settings) { s.RotateAfter = setting.Duration(time.Hour) }, "out of range"},
	} {
		var s Settings
		s.SetDefaults()
		s.Key, s.Provision = "file", Provision{Template: "line", Claim: "claim", Parameters: map[string]string{
			"Serial": "{serial}", "At": "{label.site} {mac}", "Proof": "{file:/etc/proof}", "Name": "x-{gateway}"}}
		c.change(&s)
		found := s.Validate(labels)
		switch {
		case c.want == "" && len(found) != 0:
			t.Errorf("%s: %+v", name, found)
		case c.want != "" && (len(found) == 0 || !strings.Contains(found[0].Text, c.want)):
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestParameters reads what a machine says of itself, and takes nothing that makers
// leave in the place of a serial number.
func TestParameters(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	card := func(name, mac string, index int, flags net.Flags) net.Interface {
		a, _ := net.ParseMAC(mac)
		return net.Interface{Index: index, Name: name, HardwareAddr: a, Flags: flags}
	}
	o := origin{gateway: "press", labels: map[string]string{"site": "hall 3"}, root: root,
		nets: func() ([]net.Interface, error) {
			return []net.Interface{card("wlan0", "00:11:22:33:44:66", 3, 0), card("lo", "", 1, net.FlagLoopback),
				card("docker0", "02:42:11:22:33:44", 2, 0), card("eth0", "00:11:22:33:44:55", 2, 0)}, nil
		}}
	o.chip = func(context.Context) (string, error) { return "0a1b", nil }
	get := func(text string) string {
		all, err := o.parameters(context.Background(), map[string]string{"X": text})
		if err != nil {
			return err.Error()
		}
		if all[GatewayName] != "press" {
			t.Errorf("parameters %v", all)
		}
		return all["X"]
	}
	if got := get("{serial}"); !strings.Contains(got, "no serial number") {
		t.Error(got)
	}
	write("sys/class/dmi/id/product_serial", "To Be Filled By O.E.M.\n")
	write("sys/class/dmi/id/board_serial", "Default string\n")
	write("proc/device-tree/serial-number", "100000003d1e2f\x00")
	if got := get("{serial}"); got != "100000003d1e2f" {
		t.Error(got)
	}
	for _, text := range []string{"", "0", "00000000", "XXXXXXXX", "....", "..-..", "FFFFFFFF-FFFF", "0123456789",
		"1234567890", "123456",
		"System Serial Number", "Chassis Serial Number", "SerialNumber", "N/A", "Not Available", "INVALID", "Unknown"} {
		write("sys/class/dmi/id/board_serial", text+"\n")
		if got := get("{serial}"); got != "100000003d1e2f" {
			t.Errorf("%q is taken for the machine's own number: %q", text, got)
		}
	}
	for _, text := range []string{"CZ1234567890", "VMware-56 4d 11 11", "1112", "S0000001"} {
		write("sys/class/dmi/id/board_serial", text+"\n")
		if got := get("{serial}"); got != text {
			t.Errorf("%q is not taken: %q", text, got)
		}
	}
	write("sys/class/dmi/id/board_serial", "MB-7\n")
	write("proof", "  signed\n\n")
	for text, want := range map[string]string{
		"{serial}":               "MB-7",
		"{mac}":                  "00:11:22:33:44:55",
		"{label.site}/{gateway}": "hall 3/press",
		"{file:/proof}":          "signed",
		"as it is":               "as it is",
		"{tpm}":                  "0a1b",
	} {
		if got := get(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := get("{file:/nowhere}"); !strings.Contains(got, "parameter X") {
		t.Error(got)
	}
	write("long", strings.Repeat("x", mostValue+1))
	if got := get("{file:/long}"); !strings.Contains(got, "4096") {
		t.Error(got)
	}
	o.nets = func() ([]net.Interface, error) { return nil, errors.New("no netlink") }
	_, err := o.parameters(context.Background(), map[string]string{"X": "{mac}"})
	if e := uplink.Explain(&unknownOrigin{err}); !e.Act || !strings.Contains(e.Text, "no netlink") {
		t.Errorf("%+v", e)
	}
}

// FuzzParameters: no text of a parameter ends the program, and what is checked can be
// told, but for what the machine lacks.
func FuzzParameters(f *testing.F) {
	f.Add("{serial}{mac}")
	f.Add("{{gateway}}")
	f.Add("{label.site}{file:/x}")
	f.Fuzz(func(t *testing.T, text string) {
		o := origin{gateway: "press", labels: map[string]string{"site": "x"}, root: "/nowhere",
			nets: func() ([]net.Interface, error) { return nil, nil },
			chip: func(context.Context) (string, error) { return "", errors.New("none") }}
		wrong, _ := checkParameter(text, o.labels)
		_, err := o.parameters(context.Background(), map[string]string{"X": text})
		if wrong != "" && err == nil && strings.Contains(wrong, "nothing is called") {
			t.Errorf("%q is refused (%s) and taken", text, wrong)
		}
	})
}
