package configs

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/configs/keys"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/setup"
)

// Change is what differs in one or more gateways, in words.
type Change struct {
	Gateways []string
	Lines    []string
}

// DiffFleets tells what changes from one fleet to another, gateways with the
// same changes together. Both must be without errors.
func DiffFleets(old, new map[string]*Loaded) []Change {
	var changes []Change
	names := slices.Sorted(maps.Keys(new))
	for name := range old {
		if new[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		var lines []string
		switch {
		case old[name] == nil:
			lines = []string{"new gateway: " + summary(&new[name].Config)}
		case new[name] == nil:
			lines = []string{"removed"}
		default:
			lines = Diff(old[name], new[name])
		}
		if len(lines) == 0 {
			continue
		}
		i := slices.IndexFunc(changes, func(c Change) bool { return slices.Equal(c.Lines, lines) })
		if i < 0 {
			changes = append(changes, Change{nil, lines})
			i = len(changes) - 1
		}
		changes[i].Gateways = append(changes[i].Gateways, name)
	}
	return changes
}

// Diff tells what changes from one configuration of a gateway to another, one
// line for each value: "boiler: every 1s -> 500ms". Values that are the default
// are compared, too. What is from files and the environment is not shown.
func Diff(old, new *Loaded) []string {
	d := differ{old: old, new: new}
	d.value(reflect.ValueOf(&old.Config).Elem(), reflect.ValueOf(&new.Config).Elem(), nil)
	d.loads()
	for i, line := range d.lines {
		d.lines[i] = old.Hidden.In(new.Hidden.In(line))
	}
	return d.lines
}

type differ struct {
	old, new *Loaded
	lines    []string
}

func (d *differ) add(path []string, text string) {
	d.lines = append(d.lines, subject(path)+text)
}

// value compares two values of one type.
func (d *differ) value(a, b reflect.Value, path []string) {
	switch {
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		d.value(a.Elem(), b.Elem(), path)
	case a.Kind() == reflect.Map:
		d.table(a, b, path)
	case a.Kind() == reflect.Slice && isOrdered(a.Type()):
		d.ordered(a, b, path)
	case a.Kind() == reflect.Struct && len(keys.Of(a.Type())) > 0:
		for _, f := range keys.Of(a.Type()) {
			d.value(a.FieldByIndex(f.Index), b.FieldByIndex(f.Index), append(slices.Clip(path), f.Key))
		}
	case !reflect.DeepEqual(a.Interface(), b.Interface()):
		d.add(path, fmt.Sprintf(" %s -> %s", d.text(d.old, a, path), d.text(d.new, b, path)))
	}
}

func (d *differ) table(a, b reflect.Value, path []string) {
	keys := make(map[string]reflect.Value)
	for _, m := range []reflect.Value{a, b} {
		for _, k := range m.MapKeys() {
			keys[fmt.Sprint(k.Interface())] = k
		}
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		at := append(slices.Clip(path), name)
		d.element(a.MapIndex(keys[name]), b.MapIndex(keys[name]), at)
	}
}

func (d *differ) ordered(a, b reflect.Value, path []string) {
	names := func(v reflect.Value) []string {
		var out []string
		for i := range v.Len() {
			out = append(out, v.Index(i).FieldByName("Name").String())
		}
		return out
	}
	of := func(v reflect.Value, name string) reflect.Value {
		if i := slices.Index(names(v), name); i >= 0 {
			return v.Index(i).FieldByName("Value")
		}
		return reflect.Value{}
	}
	before, after := names(a), names(b)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, after)))) {
		d.element(of(a, name), of(b, name), append(slices.Clip(path), name))
	}
	common := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return !slices.Contains(other, name) })
	}
	if !slices.Equal(common(before, after), common(after, before)) {
		d.add(path, " tried in another order: "+strings.Join(after, ", "))
	}
}

// element compares what a name stands for; one of them may be missing.
func (d *differ) element(a, b reflect.Value, path []string) {
	switch {
	case !a.IsValid():
		text := describe(b)
		if d.new.root.At(path...).HasSecret() {
			text = ""
		}
		d.add(path, " new"+text)
	case !b.IsValid():
		d.add(path, " removed")
	default:
		d.value(a, b, path)
	}
}

// describe tells the size of something new, if it has one.
func describe(v reflect.Value) string {
	switch thing := v.Interface().(type) {
	case setup.Device:
		return fmt.Sprintf(", %s every %s", count(len(thing.Points), "point"), thing.Every)
	case setup.Bus:
		return " at " + thing.URL
	}
	if v.Kind() == reflect.String {
		return " " + strconv.Quote(v.String())
	}
	return ""
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// text writes a value for people; what is secret stays so.
func (d *differ) text(l *Loaded, v reflect.Value, path []string) string {
	if n := l.root.At(path...); n.HasSecret() {
		return cmp.Or(n.Source(), "(not shown)")
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "default"
		}
		v = v.Elem()
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	if text := fmt.Sprint(v.Interface()); text != "" {
		return text
	}
	return "none"
}

// things are the maps whose members people know by name alone.
var things = map[string]string{
	"southbound.modbus.devices": "", "southbound.modbus.buses": "bus ",
	"southbound.mqtt.sensors": "sensor ", "southbound.mqtt.brokers": "broker ",
}

// subject writes a path for people: "boiler: point flow scale".
func subject(path []string) string {
	if len(path) < 4 {
		return strings.Join(path, ".")
	}
	what, ok := things[strings.Join(path[:3], ".")]
	if !ok {
		return strings.Join(path, ".")
	}
	rest := path[4:]
	out := what + path[3] + ":"
	if len(rest) > 1 && rest[0] == "points" {
		out += " point"
		rest = rest[1:]
	}
	if len(rest) > 0 {
		out += " " + strings.Join(rest, " ")
	}
	return out
}

// loads tells which buses get more or less to do.
func (d *differ) loads() {
	before := busLoads(d.old.known())
	after := busLoads(d.new.known())
	for _, bus := range slices.Sorted(maps.Keys(after)) {
		a, had := before[bus]
		b := after[bus]
		if had && math.Abs(a-b) >= 0.01 {
			d.lines = append(d.lines, fmt.Sprintf("%s load %.0f %% -> %.0f %%", bus, a*100, b*100))
		}
	}
}

func busLoads(c *Config) map[string]float64 {
	loads := make(map[string]float64)
	for _, bus := range modbus.Plan(c.Southbound.Modbus) {
		loads[bus.Bus] = bus.Load
	}
	return loads
}

// summary tells the size of a configuration.
func summary(c *Config) string {
	return fmt.Sprintf("%s with %s, %s", count(len(c.Southbound.Modbus.Devices), "device"), count(c.Points(), "point"),
		count(len(c.Southbound.MQTT.Sensors), "sensor rule"))
}
