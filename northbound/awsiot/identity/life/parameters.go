package life

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"fieldbridge/order"
	"fieldbridge/setting"
)

// GatewayName is the parameter that every template is told.
const GatewayName = "GatewayName"

// origin is what a parameter may name. A file is read when it is needed: what stands
// in it may come after the start.
type origin struct {
	gateway string
	labels  map[string]string
	root    string // of the file system; "" but in tests
	nets    func() ([]net.Interface, error)
	chip    func(ctx context.Context) (string, error) // what tells this TPM from all others
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// checkParameter returns what is wrong with the text of a parameter.
func checkParameter(text string, labels map[string]string) (wrong, fix string) {
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		label, isLabel := strings.CutPrefix(m[1], "label.")
		_, known := labels[label]
		switch {
		case m[1] == "gateway" || m[1] == "serial" || m[1] == "mac" || m[1] == "tpm":
		case strings.HasPrefix(m[1], "file:/"):
		case strings.HasPrefix(m[1], "file:"):
			return fmt.Sprintf("%s has no whole path", m[0]), "begin it with /"
		case isLabel && known:
		case isLabel:
			return fmt.Sprintf("there is no label %q", label), "give the gateway that label"
		default:
			return fmt.Sprintf("nothing is called %s", m[0]), "use " + setting.Choice("one of",
				[]string{"{gateway}", "{serial}", "{mac}", "{tpm}", "{label.NAME}", "{file:/PATH}"})
		}
	}
	return "", ""
}

// parameters returns what the template is told.
func (o *origin) parameters(ctx context.Context, given map[string]string) (map[string]string, error) {
	all := map[string]string{GatewayName: o.gateway}
	for name, text := range given {
		var failed error
		value := placeholder.ReplaceAllStringFunc(text, func(part string) string {
			value, err := o.value(ctx, part[1:len(part)-1])
			if err != nil && failed == nil {
				failed = fmt.Errorf("parameter %s: %w", name, err)
			}
			return value
		})
		if failed == nil && len(value) > mostValue {
			failed = fmt.Errorf("parameter %s has %d bytes: AWS takes %d", name, len(value), mostValue)
		}
		if failed != nil {
			return nil, failed
		}
		all[name] = value
	}
	return all, nil
}

func (o *origin) value(ctx context.Context, what string) (string, error) {
	if label, ok := strings.CutPrefix(what, "label."); ok {
		return o.labels[label], nil
	}
	if path, ok := strings.CutPrefix(what, "file:"); ok {
		data, err := setting.Path(o.root + path).Read()
		if err != nil {
			return "", err
		}
		return string(bytes.TrimSpace(data)), nil
	}
	switch what {
	case "gateway":
		return o.gateway, nil
	case "serial":
		return o.serial()
	case "mac":
		return o.mac()
	case "tpm":
		return o.chip(ctx)
	}
	return "", fmt.Errorf("nothing is called {%s}", what)
}

// serials are where a machine's serial number stands: in DMI, whose files may be
// read by root alone, and in the device tree.
var serials = []string{
	"/sys/class/dmi/id/product_serial", "/sys/class/dmi/id/board_serial", "/sys/class/dmi/id/chassis_serial",
	"/sys/firmware/devicetree/base/serial-number", "/proc/device-tree/serial-number",
}

// unset are what makers leave in the place of a serial number, beside names of the field
// and digits that count on.
var unset = []string{"none", "default string", "default_string", "default", "to be filled by o.e.m.", "o.e.m.", "oem",
	"not specified", "not applicable", "not available", "not settable", "n/a", "na", "null", "unknown", "invalid", "empty",
	"standard", "type1 - serial number", "type2 - board serial number"}

// serialUnset reports whether a text is what many machines have: a gateway would take
// another's place by it.
func serialUnset(text string) bool {
	text = strings.ToLower(text)
	named := strings.HasSuffix(text, "serial number") || strings.HasSuffix(text, "serialnumber")
	one := strings.Trim(text, "-_. :"+text[:min(1, len(text))]) == "" // one letter or digit, again and again
	return named || one || slices.Contains(unset, text) || len(text) >= 6 && strings.Contains("01234567890123456789", text)
}

func (o *origin) serial() (string, error) {
	denied := false
	for _, path := range serials {
		data, err := os.ReadFile(o.root + path)
		denied = denied || os.IsPermission(err)
		text := strings.TrimSpace(strings.TrimRight(string(data), "\x00"))
		if err == nil && !serialUnset(text) {
			return text, nil
		}
	}
	if denied {
		return "", fmt.Errorf("{serial} may be read by root alone here: have root copy it at boot, and use {file:/PATH}")
	}
	return "", fmt.Errorf("this machine has no serial number, in DMI or in the device tree: use {mac} or {file:/PATH}")
}

// mac returns the address of the first network card. Its own, not one that a system
// makes up at each start.
func (o *origin) mac() (string, error) {
	all, err := o.nets()
	if err != nil {
		return "", err
	}
	order.By(all, func(a, b net.Interface) int { return a.Index - b.Index })
	for _, i := range all {
		if len(i.HardwareAddr) == 6 && i.Flags&net.FlagLoopback == 0 && i.HardwareAddr[0]&2 == 0 {
			return i.HardwareAddr.String(), nil
		}
	}
	return "", fmt.Errorf("this machine has no network card with an address of its own: use {serial} or {file:/PATH}")
}
