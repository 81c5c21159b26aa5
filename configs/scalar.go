package configs

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
	"fieldbridge/store/terms"
)

// The one grammar of numbers, on the text as written: YAML's own would read 010
// as 8, and 1_000, 0o17 and .inf as numbers.
var (
	integerText = regexp.MustCompile(`^-?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)$`)
	numberText  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9]`)
)

// scalar fills a number, bool or string.
func (d *decoder) scalar(n *tree.Node, v reflect.Value, p *place) {
	switch v.Kind() {
	case reflect.String:
		d.text(n, v, p)
	case reflect.Bool:
		d.truth(n, v, p)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.integer(n, v, p)
	case reflect.Float32, reflect.Float64:
		d.float(n, v, p)
	default:
		// A mistake of this program: the test of all keys finds it.
		d.fail(p, n.Pos, fmt.Sprintf("%s cannot be decoded into %s", p.name(), v.Type()), "report this as a bug")
	}
}

// plainScalar refuses maps and lists; wanted is what should stand there.
func (d *decoder) plainScalar(n *tree.Node, p *place, wanted string) bool {
	if n.Kind == tree.Scalar {
		return true
	}
	if n.Kind == tree.Mapping && n.Flow && len(n.Members) > 0 && n.Members[0].Bare {
		name := n.Members[0].Key
		d.fail(p, n.Pos, fmt.Sprintf("{%s} without quotes is a map to YAML", name), fmt.Sprintf("write %q", "{"+name+"}"))
		return false
	}
	d.fail(p, n.Pos, fmt.Sprintf("%s is %s where %s is needed", p.name(), n.Show(), wanted),
		"write "+p.name()+": and its value in one line")
	return false
}

func (d *decoder) text(n *tree.Node, v reflect.Value, p *place) bool {
	if !d.plainScalar(n, p, "text") {
		return false
	}
	v.SetString(n.Text)
	return true
}

func (d *decoder) truth(n *tree.Node, v reflect.Value, p *place) {
	if !d.plainScalar(n, p, "true or false") {
		return
	}
	switch {
	case n.Plain && (n.Text == "true" || n.Text == "false"):
		v.SetBool(n.Text == "true")
	case !n.Plain:
		d.fail(p, n.Pos, fmt.Sprintf("%s is the text %s, not true or false", p.name(), tree.Quote(n.Text)),
			"write true or false without quotes")
	default:
		fix := "write true or false"
		if b, ok := oldBools[strings.ToLower(n.Text)]; ok {
			fix = fmt.Sprintf("write %t: yes, no, on and off are plain text in YAML 1.2", b)
		}
		d.fail(p, n.Pos, fmt.Sprintf("%s is %s, not true or false", p.name(), tree.Quote(n.Text)), fix)
	}
}

// oldBools are the other ways of YAML 1.1 to write a bool.
var oldBools = map[string]bool{"yes": true, "on": true, "y": true, "true": true, "1": true,
	"no": false, "off": false, "n": false, "false": false, "0": false}

// numeric refuses what does not fit the grammar of numbers; wanted is its name.
func (d *decoder) numeric(n *tree.Node, p *place, grammar *regexp.Regexp, wanted string) bool {
	if !d.plainScalar(n, p, wanted) {
		return false
	}
	if n.Plain && grammar.MatchString(n.Text) {
		return true
	}
	text := fmt.Sprintf("%s is %s, not %s", p.name(), tree.Quote(n.Text), wanted)
	fix := "write digits"
	switch bare := strings.ReplaceAll(n.Text, "_", ""); {
	case !n.Plain && grammar.MatchString(n.Text):
		text, fix = fmt.Sprintf("%s is the text %q, not %s", p.name(), n.Text, wanted), "remove the quotes"
	case leadingZero.MatchString(n.Text):
		text, fix = leadingZeroProblem(p, n.Text)
	case strings.Contains(n.Text, "_") && grammar.MatchString(bare),
		strings.HasPrefix(n.Text, "+") && grammar.MatchString(bare[1:]):
		fix = "write " + strings.TrimPrefix(bare, "+")
	case strings.HasPrefix(n.Text, "0o"), strings.HasPrefix(n.Text, "0b"):
		fix = "write it in decimal, or in hexadecimal as 0x1F"
	case strings.HasSuffix(n.Text, ".0") && grammar.MatchString(strings.TrimSuffix(n.Text, ".0")):
		fix = "write " + strings.TrimSuffix(n.Text, ".0")
	case grammar == numberText:
		fix = "write it as 12, 0.5 or 1e-3"
	}
	d.fail(p, n.Pos, text, fix)
	return false
}

func leadingZeroProblem(p *place, text string) (what, fix string) {
	digits := strings.TrimLeft(strings.TrimLeft(text, "+-"), "0")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		digits = "0" + digits
	}
	if strings.HasPrefix(text, "-") {
		digits = "-" + digits
	}
	return fmt.Sprintf("%s is %s, with a leading zero", p.name(), tree.Quote(text)),
		"write " + digits + ": some YAML readers take a leading zero as octal"
}

func (d *decoder) integer(n *tree.Node, v reflect.Value, p *place) {
	if !d.numeric(n, p, integerText, "a whole number") {
		return
	}
	var err error
	if v.CanUint() {
		var u uint64
		if u, err = strconv.ParseUint(n.Text, 0, v.Type().Bits()); err == nil {
			v.SetUint(u)
			return
		}
	} else {
		var i int64
		if i, err = strconv.ParseInt(n.Text, 0, v.Type().Bits()); err == nil {
			v.SetInt(i)
			return
		}
	}
	d.fail(p, n.Pos, fmt.Sprintf("%s is %s, outside its range", p.name(), n.Text), "write "+limits(v))
}

// limits says what fits an integer type, the same on each processor.
func limits(v reflect.Value) string {
	bits := v.Type().Bits()
	switch {
	case bits == 64, v.Kind() == reflect.Int, v.Kind() == reflect.Uint:
		return "a smaller number"
	case v.CanUint():
		return fmt.Sprintf("a whole number from 0 to %d", 1<<bits-1)
	}
	return fmt.Sprintf("a whole number from %d to %d", -1<<(bits-1), 1<<(bits-1)-1)
}

func (d *decoder) float(n *tree.Node, v reflect.Value, p *place) {
	if !d.numeric(n, p, numberText, "a number") {
		return
	}
	f, err := strconv.ParseFloat(n.Text, v.Type().Bits())
	if errors.Is(err, strconv.ErrRange) {
		d.fail(p, n.Pos, fmt.Sprintf("%s is %s, outside the range of numbers", p.name(), n.Text), "write a smaller one")
		return
	}
	v.SetFloat(f)
}

// unmarshal fills a type that reads its text itself.
func (d *decoder) unmarshal(n *tree.Node, v reflect.Value, u encoding.TextUnmarshaler, p *place) {
	if !d.plainScalar(n, p, wantedText(v.Type())) {
		return
	}
	// Types of other packages decide for themselves: a Modbus reference may
	// begin with zeros.
	own := v.Type().PkgPath() == pathType.PkgPath() || v.Type() == decimalType || v.Type() == paceType ||
		v.Type() == wearType
	if n.Plain && own && leadingZero.MatchString(n.Text) {
		text, fix := leadingZeroProblem(p, n.Text)
		d.fail(p, n.Pos, text, fix)
		return
	}
	if err := u.UnmarshalText([]byte(n.Text)); err != nil {
		text := err.Error()
		if !strings.HasPrefix(text, p.name()) {
			text = p.name() + ": " + text
		}
		d.fail(p, n.Pos, text, "")
	}
}

var (
	decimalType = reflect.TypeFor[bridge.Decimal]()
	paceType    = reflect.TypeFor[terms.Pace]()
	wearType    = reflect.TypeFor[terms.Wear]()
)

// wantedText names the types that every adapter uses.
func wantedText(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[setting.Duration]():
		return "a duration as 5s"
	case reflect.TypeFor[setting.Size]():
		return "a size as 64KiB"
	case decimalType:
		return "a number"
	case wearType:
		return "a budget as 10GB/year"
	case paceType:
		return "a duration as 5s, or linger"
	}
	return "a single value"
}
