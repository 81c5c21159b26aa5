package setup

import (
	"fieldbridge/southbound/modbus/permit"
	"fmt"
	"maps"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/upkeep"
	"fieldbridge/southbound/modbus/wire"
)

// Bounds of the times of a keep.
const (
	minKeep    = 100 * time.Millisecond
	maxKeep    = time.Hour
	maxKeepFor = 24 * time.Hour
)

// resolveUpkeep returns what the gateway writes to d by itself, nil if nothing, and
// what is wrong with that. fields are those of d's points.
func resolveUpkeep(d Device, fields []*point.Field) (*upkeep.Spec, []setting.Problem) {
	f := &finder{}
	spec := &upkeep.Spec{BeforeWrite: steps(f, "before_write", d.BeforeWrite, d, fields),
		OnConnect: steps(f, "on_connect", d.OnConnect, d, fields)}
	for _, name := range keptPoints(d) {
		f.path = []string{"points", name}
		if k, ok := kept(f, *d.Points[name].Keep, d.Points[name], target(d, fields, name), fields); ok {
			spec.Keeps = append(spec.Keeps, k)
		}
	}
	if len(spec.BeforeWrite)+len(spec.OnConnect)+len(spec.Keeps) == 0 {
		spec = nil
	}
	return spec, f.problems
}

// keptPoints returns the names of the points that the gateway keeps, in order.
func keptPoints(d Device) (names []string) {
	for name, p := range d.Points {
		if p.Keep != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// target returns the field of a point to write to, whether commands may or not; nil
// if there is none.
func target(d Device, fields []*point.Field, name string) *point.Field {
	i := slices.IndexFunc(fields, func(f *point.Field) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	if fields[i].Writable != nil {
		return fields[i]
	}
	f, special, p := *fields[i], *fields[i].Special, d.Points[name]
	special.Writable, special.Scale = &point.Writable{}, 1
	if p.Scale != nil {
		special.Scale = p.Scale.Float()
	}
	if p.Offset != nil {
		special.Offset = p.Offset.Float()
	}
	f.Special = &special
	return &f
}

// steps resolves the values of a list.
func steps(f *finder, key string, list []Step, d Device, fields []*point.Field) []upkeep.Write {
	var writes []upkeep.Write
	for i, s := range list {
		f.path = []string{key, fmt.Sprint(i)}
		to := stepField(f, s, d, fields)
		if to == nil {
			continue
		}
		if !s.Value.Good() {
			f.bad("", "nothing to write", "give value")
		} else if written(f, "value", to, s.Value) {
			writes = append(writes, upkeep.Write{Field: to, Value: s.Value.Value})
		}
	}
	return writes
}

// stepField finds where a step writes; nil if that is not known.
func stepField(f *finder, s Step, d Device, fields []*point.Field) *point.Field {
	address := s.Coil != nil || s.Holding != nil || s.Ref != ""
	switch {
	case s.Point != "" && (address || s.Type != "" || s.Order != "" || s.Length != 0):
		f.bad("point", "a point beside an address or a type", "keep one of them: the point has its own")
	case s.Point != "":
		if _, ok := d.Points[s.Point]; !ok {
			f.bad("point", fmt.Sprintf("%q is not a point of this device", s.Point),
				suggest(s.Point, slices.Sorted(maps.Keys(d.Points))))
		}
		return target(d, fields, s.Point)
	case !address:
		f.bad("", "nowhere to write", "give point, coil, holding or ref")
	default:
		d.SunSpec, d.MaxWords = nil, point.MaxWords
		d.Points = map[string]Point{"value": {Coil: s.Coil, Holding: s.Holding, Ref: s.Ref, Type: s.Type, Order: s.Order,
			Length: s.Length, Writable: &permit.Writable{}}}
		before := len(f.problems)
		to := f.point("value", point.Copy{}, d)
		if len(f.problems) > before {
			return nil
		}
		to.Name = fmt.Sprintf("%v %d", to.Table, to.Address)
		return to
	}
	return nil
}

// written checks that a value can be written to a field.
func written(f *finder, key string, to *point.Field, v Value) bool {
	if to.Table == wire.Input || to.Table == wire.Discrete {
		f.bad("", "a value for what can only be read: "+to.Table.String(), "only coils and holding registers can be written")
		return false
	}
	if err := to.Takes(v.Value); err != nil {
		f.bad(key, err.Error(), "give a value that the point can have")
		return false
	}
	return true
}

// kept resolves a keep; to is nil where the point has other problems, or stands for
// several.
func kept(f *finder, keep Keep, p Point, to *point.Field, fields []*point.Field) (upkeep.Keep, bool) {
	before := len(f.problems)
	from := followed(f, &keep, to, fields)
	if keep.Values != nil {
		keep = several(f, keep)
	}
	k := upkeep.Keep{Field: to, From: from, Value: keep.Value.Value, Every: keep.Every.D(), For: keep.For.D(),
		Stop: keep.Stop.Value}
	constant := k.Value.Good()
	writeOnly := p.Access == permit.Write // then it is not read, and not for commands either
	commanded := p.Writable.Yes() || p.Access == permit.ReadWrite || writeOnly && !constant
	switch {
	case p.Repeat != nil:
		f.bad("keep", "a point that stands for several", "leave out repeat, and give each point that is kept")
	case k.Every < minKeep || k.Every > maxKeep:
		f.bad("keep/every", "kept each "+keep.Every.String(), "use 100ms to 1h: half of what the device allows")
	case constant && k.For != 0:
		f.bad("keep/for", "an end of a constant", "for is how long the value of a command is repeated: remove for or value")
	case constant && commanded:
		f.bad("writable", "a point that commands set and that is kept at a constant",
			"a command would be overwritten: remove writable or keep")
	case p.Pulse != nil:
		f.bad("keep", "a pulse that is kept", "remove pulse or keep")
	case !constant && !commanded:
		f.bad("keep", "nothing to keep", "give value, or make the point writable to keep the value of the last command")
	case !constant && (k.For < k.Every || k.For > maxKeepFor):
		f.bad("keep", "the value of a command, kept for "+keep.For.String(),
			"give for: how long a command is repeated, from every to 24h")
	}
	if to == nil || len(f.problems) > before {
		return k, false
	}
	for key, v := range map[string]Value{"keep/value": keep.Value, "keep/stop": keep.Stop} {
		if key == "keep/value" && from != nil {
			v.Value = from.Decode(make([]byte, from.Bytes())) // the device's own is not known
		}
		if v.Good() && (keep.Values == nil || key == "keep/stop") {
			written(f, key, to, v)
		}
	}
	for i, v := range keep.Values {
		if written(f, fmt.Sprint("keep/values/", i), to, v) && i > 0 {
			k.Then = append(k.Then, v.Value)
		}
	}
	return k, len(f.problems) == before
}

// followed finds the point that a keep follows; nil is none. Its value is then what is
// added.
func followed(f *finder, keep *Keep, to *point.Field, fields []*point.Field) *point.Field {
	if keep.Follow == "" {
		if keep.Add != 0 {
			f.bad("keep/add", "add without follow", "add follow, the point whose value that is added to")
		}
		return nil
	}
	if keep.Value.Good() || keep.Values != nil {
		f.bad("keep/follow", "follow beside value or values", "keep one of them")
	}
	keep.Value = Value{bridge.Int(int64(keep.Add))}
	i := slices.IndexFunc(fields, func(r *point.Field) bool { return r.Name == keep.Follow })
	if i < 0 {
		var names []string
		for _, r := range fields {
			names = append(names, r.Name)
		}
		f.bad("keep/follow", fmt.Sprintf("%q is not a point of this device", keep.Follow), suggest(keep.Follow, names))
		return nil
	}
	from := fields[i]
	whole := (point.Type{Kind: from.Kind}).Integer() && !from.Scaling.Active() && from.Straight == nil && from.Curve == nil
	switch {
	case to == nil:
	case from.Name == to.Name || from.WriteOnly() || from.Models != nil || from.Factor != nil || from.Size > 0:
		f.bad("keep/follow", keep.Follow+" cannot be followed", "name another point that is read as it is")
	case from.Kind != point.KindBool && !whole || (from.Kind == point.KindBool) != (to.Kind == point.KindBool):
		f.bad("keep/follow", fmt.Sprintf("%s, a %s, for a %s", keep.Follow, from.TypeName, to.TypeName),
			"a bool follows a bool, a whole number a whole number without a scale")
	case keep.Add != 0 && from.Kind == point.KindBool:
		f.bad("keep/add", "add to a bool", "for the opposite write invert: true to the point")
	default:
		return from
	}
	return nil
}

// mostValues is how many values may follow one another: those of a byte.
const mostValues = 256

// several finds what is kept of several values: the first is the keep's.
func several(f *finder, keep Keep) Keep {
	switch {
	case keep.Value.Good():
		f.bad("keep/values", "value and values together", "keep one of them")
	case len(keep.Values) < 2 || len(keep.Values) > mostValues:
		f.bad("keep/values", fmt.Sprintf("%d values that follow one another", len(keep.Values)),
			"give 2 to 256, as [0, 1]; of one that stays write value")
	}
	if len(keep.Values) > 0 && !keep.Value.Good() {
		keep.Value = keep.Values[0]
	}
	return keep
}
