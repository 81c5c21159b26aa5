package permit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Bad is told what is wrong with a key below the point's, and what to do.
type Bad func(key, text, fix string)

// resolver finds how a point may be set.
type resolver struct {
	Keys
	bad Bad
}

// Bounds of what writes a point.
const (
	minPulse  = 20 * time.Millisecond
	maxPulse  = 10 * time.Second
	minWithin = 100 * time.Millisecond
	maxWithin = 20 * time.Second // a command has 30 s
)

// Resolve finds whether and how the point may be set that r is, as far as it
// is resolved; bad is told what cannot be meant.
func (k Keys) Resolve(r *point.Field, bad Bad) {
	f := &resolver{k, bad}
	f.inverted(r)
	f.together(r)
	if !f.access() {
		f.needless()
		return
	}
	w := k.Writable
	if w == nil {
		w = &Writable{}
	}
	if r.Table != wire.Coil && r.Table != wire.Holding {
		bad(k.key(), "the table "+r.Table.String()+" cannot be written",
			"only coils and holding registers can: remove "+k.key())
	}
	f.limits(r, w)
	r.Writable = &point.Writable{Min: w.Min, Max: w.Max, MaxStep: w.MaxStep, Also: w.Also, MultipleOf: w.MultipleOf,
		ReadModifyWrite: w.ReadModifyWrite, Only: k.Only()}
	f.confirm(r)
	f.function(r)
	f.fits(r)
	f.pulse(r)
	f.invertible(r, w)
	if k.Only() {
		f.never(w)
	}
	r.Unpolled = k.Poll != nil && !*k.Poll
}

// invertible checks that the registers to write follow from the value.
func (f *resolver) invertible(r *point.Field, w *Writable) {
	switch {
	case r.Curve != nil && !r.Curve.Invertible():
		f.bad(f.key(), "a writable point with a table in which a value is there twice",
			"one value must belong to one raw number: remove writable")
	case r.Mask != 0 && r.Words > 1 && !w.ReadModifyWrite:
		f.bad(f.key(), "some bits of several registers cannot be written by themselves",
			"add writable: {read_modify_write: true} if nothing else changes the registers, or remove writable")
	case r.Kind == point.KindParts || r.Kind == point.KindTime:
		if err := r.Whole.Undo(!f.OwnParts); err != nil {
			f.bad(f.key(), "this value cannot be written: "+err.Error(),
				"remove writable, or make the parts points of their own")
		}
	}
}

// access reports whether a point may be set.
func (f *resolver) access() bool {
	writable := f.Writable.Yes()
	switch f.Access {
	case "":
		return writable
	case Read:
		if writable {
			f.bad("access", "access: read of a point that is writable", "remove one of them")
		}
		return false
	case Write, ReadWrite:
		if f.Writable != nil && !writable {
			f.bad("access", "access: "+f.Access+" of a point that is not writable", "remove writable: false")
		}
		return true
	}
	f.bad("access", fmt.Sprintf("%q is not an access", f.Access),
		suggest(f.Access, []string{Read, Write, ReadWrite}))
	return false
}

// needless finds keys that only a writable point has.
func (f *resolver) needless() {
	for _, k := range []struct {
		key   string
		given bool
	}{{"confirm", f.Confirm != nil}, {"pulse", f.Pulse != nil}, {"write_function", f.WriteFunction != nil},
		{"poll", f.Poll != nil && !*f.Poll}} {
		if k.given {
			f.bad(k.key, k.key+" of a point that is not writable", "add writable: true, or remove "+k.key)
		}
	}
}

// limits checks between which values a point may be set.
func (f *resolver) limits(r *point.Field, w *Writable) {
	number := r.Kind != point.KindBool && r.Kind != point.KindString && r.Kind != point.KindTime
	for _, k := range []struct {
		key   string
		given bool
	}{{"min", w.Min != nil}, {"max", w.Max != nil}, {"max_step", w.MaxStep != nil}, {"also", w.Also != nil},
		{"multiple_of", w.MultipleOf != nil}} {
		if k.given && !number {
			f.bad("writable/"+k.key, k.key+" for a "+r.TypeName, "only numbers have "+k.key+": write writable: true")
		}
	}
	if w.Min != nil && w.Max != nil && w.Min.Float() > w.Max.Float() {
		f.bad("writable/min", "min is above max", "swap them")
	}
	if w.MultipleOf != nil && w.MultipleOf.Float() <= 0 {
		f.bad("writable/multiple_of", "a multiple of "+w.MultipleOf.String(), "use a number above 0")
	}
	if w.MaxStep != nil && w.MaxStep.Float() <= 0 {
		f.bad("writable/max_step", "no step is small enough", "use a number above 0")
	}
}

// confirm finds what shows that a point was set; the other point is found when
// all are known.
func (f *resolver) confirm(r *point.Field) {
	c := f.Confirm
	if c == nil {
		c = &Confirm{}
	}
	is := point.Confirm{Within: point.DefaultWithin}
	if r.Writable.Only && c.Point == "" {
		is.By = point.ByEcho
	}
	ways := map[string]point.ConfirmBy{"read_back": point.ByReadBack, "echo": point.ByEcho, "none": point.ByNone}
	if by, ok := ways[c.By]; ok {
		is.By = by
	} else if c.By != "" {
		f.bad("confirm/by", fmt.Sprintf("%q confirms nothing", c.By), suggest(c.By, slices.Sorted(maps.Keys(ways))))
	}
	if is.By == point.ByReadBack && r.Writable.Only && c.Point == "" {
		f.bad("confirm/by", "a point that is never read cannot be read back",
			"use by: echo or none, or point: NAME for one that shows it")
	}
	if c.Point != "" && is.By != point.ByReadBack {
		f.bad("confirm/point", "another point of one that is not read back", "remove it, or use by: read_back")
	}
	if c.Within != nil && is.By != point.ByReadBack {
		f.bad("confirm/within", "within of a point that is not read back", "remove it, or use by: read_back")
	}
	if c.Within != nil {
		is.Within = c.Within.D()
		if is.Within < minWithin || is.Within > maxWithin {
			f.bad("confirm/within", "a value that is to show within "+c.Within.String(), "use 100ms to 20s")
		}
	}
	r.Writable.Confirm = is
}

// function finds the function that sets a point.
func (f *resolver) function(r *point.Field) {
	if f.WriteFunction == nil {
		return
	}
	n := *f.WriteFunction
	fits := []int{6, 16}
	switch {
	case r.Table == wire.Coil:
		fits = []int{5, 15}
	case r.Words == 1 && r.Kind < point.KindString:
		fits = []int{6, 16, 22}
	}
	if !slices.Contains(fits, n) {
		words := strings.Trim(strings.ReplaceAll(fmt.Sprint(fits), " ", ", "), "[]")
		f.bad("write_function", fmt.Sprintf("function %d cannot set this point", n), "use one of "+words)
		return
	}
	if part := r.Table == wire.Holding && r.Mask != 0; part && n != 22 && !r.Writable.ReadModifyWrite {
		f.bad("write_function", fmt.Sprintf("function %d sets no part of a register", n),
			"use 22, or add writable: {read_modify_write: true} if nothing else changes the register")
		return
	}
	if back := r.Together != (point.Span{}) && r.Writable.ReadModifyWrite; back && n != 15 && n != 16 && n != 22 {
		f.bad("write_function", fmt.Sprintf("function %d sets one address, not what belongs together", n),
			"remove it: that is written by 15 or 16")
		return
	}
	r.Writable.Function = byte(n)
}

// fits checks that a point fits in the request that sets it.
func (f *resolver) fits(r *point.Field) {
	words, most := r.Words, maxWritten
	if r.Writable.ReadModifyWrite && r.Together != (point.Span{}) {
		words = r.Together.End - r.Together.First
	}
	if r.Table == wire.Coil {
		most = maxWrittenBits
	}
	if words > most && r.Writable.Function != 6 {
		f.bad("", fmt.Sprintf("%d addresses cannot be written by one request", words),
			fmt.Sprintf("at most %d can", most))
	}
}

// The most that functions 16 and 15 write (Modbus Application Protocol V1.1b3,
// sections 6.12 and 6.11).
const (
	maxWritten     = 123
	maxWrittenBits = 1968
)

// pulse finds when a point falls back.
func (f *resolver) pulse(r *point.Field) {
	if f.Pulse == nil {
		return
	}
	r.Writable.Pulse = f.Pulse.D()
	if r.Kind != point.KindBool {
		f.bad("pulse", "a pulse of a "+r.TypeName, "only a bool falls back: use a coil, bit: or type: bool")
	} else if r.Writable.Pulse < minPulse || r.Writable.Pulse > maxPulse {
		f.bad("pulse", "a pulse of "+f.Pulse.String(), "use 20ms to 10s")
	}
}

// never finds keys of a point that is never read which need that it is.
func (f *resolver) never(w *Writable) {
	for _, k := range []struct {
		key   string
		given bool
	}{{"writable/max_step", w.MaxStep != nil}, {"writable/read_modify_write", w.ReadModifyWrite},
		{"poll", f.Poll != nil}, {"together", f.Together != ""}} {
		if k.given {
			f.unread(k.key)
		}
	}
	for _, key := range f.Readings {
		f.unread(key)
	}
}

func (f *resolver) unread(key string) {
	name := key[strings.LastIndex(key, "/")+1:]
	f.bad(key, name+" of a point that is never read", "remove it, or use access: read_write")
}

// inverted finds that true is 0.
func (f *resolver) inverted(r *point.Field) {
	if r.Invert = f.Invert; f.Invert && r.Kind != point.KindBool {
		f.bad("invert", "invert of a "+r.TypeName, "only a bool has an opposite: use a coil, bit: or type: bool")
	}
	f.sides(r)
}

// sides finds what stands for true and false.
func (f *resolver) sides(r *point.Field) {
	if f.TrueIs == nil && f.FalseIs == nil {
		return
	}
	key, of := "true_is", &point.Sides{True: coilOn, Strict: f.FalseIs != nil && r.Table == wire.Holding}
	if f.FalseIs != nil {
		key, of.False = "false_is", uint64(*f.FalseIs)
	}
	if f.TrueIs != nil {
		of.True = uint64(*f.TrueIs)
	}
	many := f.WriteFunction != nil && *f.WriteFunction == 15
	switch {
	case r.Kind != point.KindBool || r.Mask != 0:
		f.bad(key, key+" of a "+r.TypeName, "only a coil or a whole register has it: add type: bool")
	case r.Table.Bits() && (r.Table != wire.Coil || many || f.Together != ""):
		f.bad(key, key+" of a "+r.Table.String()+" that function 5 does not write", "remove it")
	case r.Table.Bits() && !f.Writable.Yes() && f.Access != Write && f.Access != ReadWrite:
		f.bad(key, key+" of a coil that is not writable", "it says what is written: add writable: true, or remove it")
	case f.Invert || !r.Table.Bits() && f.TrueIs == nil || of.True == of.False:
		f.bad(key, key+" beside invert, without true_is, or with both the same", "give true_is, and false_is if it is not 0")
	default:
		r.Sides = of
	}
}

// coilOn is what function 5 writes for true (Modbus Application Protocol V1.1b3,
// section 6.5).
const coilOn = 0xff00

// together finds what is read with a point in one request.
func (f *resolver) together(r *point.Field) {
	if f.Together == "" {
		return
	}
	first, last, _ := strings.Cut(f.Together, "-")
	from, err1 := strconv.Atoi(strings.TrimSpace(first))
	to, err2 := strconv.Atoi(strings.TrimSpace(last))
	if err1 != nil || err2 != nil || from > to {
		f.bad("together", fmt.Sprintf("%q is not a run of addresses", f.Together), `write the first and the last: "0-7"`)
		return
	}
	from, to = from-f.Base, to+1-f.Base
	most := point.MaxWords
	if r.Table.Bits() {
		most = point.MaxBits
	}
	switch {
	case r.Address < from || r.End() > to:
		f.bad("together", fmt.Sprintf("%q does not contain the point", f.Together),
			"give all that is read with it, itself too")
	case to-from > most:
		f.bad("together", fmt.Sprintf("%d addresses in one request", to-from), fmt.Sprintf("at most %d can be read", most))
	default:
		r.Together = point.Span{First: from, End: to}
	}
}

// suggest is the fix for a word that is not in a list.
func suggest(word string, known []string) string {
	return setting.Meant(word, known, "use one of "+strings.Join(known, ", "))
}

// Show makes shown, a point called name, the one that shows that r was set.
func Show(r, shown *point.Field, name string, bad Bad) {
	switch {
	case shown == r:
		bad("confirm/point", "the point itself", "remove point: that is the default")
	case shown.WriteOnly():
		bad("confirm/point", name+" is never read", "name a point that shows the value")
	case (shown.Kind == point.KindString) != (r.Kind == point.KindString):
		bad("confirm/point", fmt.Sprintf("%s is a %s, which shows no %s", name, shown.TypeName, r.TypeName),
			"name a point that has the same value")
	case shown.Factor != nil:
		bad("confirm/point", name+" has a scale_point", "name a point without one")
	default:
		r.Writable.Shown = shown
	}
}

// Covered calls yield with each point that cannot be read without one that is
// never read.
func Covered(fields []*point.Field, yield func(r, mute *point.Field)) {
	for _, mute := range fields {
		if !mute.WriteOnly() {
			continue
		}
		for _, r := range fields {
			span := r.Reach()
			if !r.WriteOnly() && r.Table == mute.Table && slices.Equal(r.Models, mute.Models) &&
				span.First < mute.End() && mute.Address < span.End {
				yield(r, mute)
			}
		}
	}
}
