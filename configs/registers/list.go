package registers

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	mostName  = 60      // letters of a point's name
	mostBytes = 8 << 20 // of a list
	mostHead  = 30      // lines before the header
)

// How addresses are counted.
const (
	Auto = "auto" // by how they look
	Wire = "wire" // from 0, as they are sent
	One  = "one"  // from 1
	Ref  = "ref"  // as manuals print them: 40001 is holding 0
)

// Options are what a list does not say.
type Options struct {
	Table     string // of registers whose function is not told: holding unless given
	Addresses string // Auto unless given
	Order     string // of values of several registers; "" is as the list says
}

// List is what was read.
type List struct {
	Points []Point
	Order  string // of the device, "" is the default
	Base   int    // of the device
	// Notes tell a person how the list was understood, and what was left out.
	Notes []string

	taken map[string]bool // names of points
}

// Point is a point of a profile: its name, and its keys as YAML.
type Point struct {
	Name string
	keys []string
}

// line is a line of the list, taken apart.
type line struct {
	number int
	cells  map[role]string
	digits string // of a decimal address, with its zeros
	value  int
	table  string
	set    bool
}

// Read reads a list of registers.
func Read(r io.Reader, o Options) (*List, error) {
	content, err := io.ReadAll(io.LimitReader(r, mostBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > mostBytes {
		return nil, fmt.Errorf("the list has more than %d bytes", mostBytes)
	}
	rows, numbers := table(text(content))
	head, at := -1, map[role]int(nil)
	for i, cells := range rows[:min(len(rows), mostHead)] {
		found := columns(cells)
		if _, ok := found[address]; !ok {
			continue
		}
		if _, ok := found[name]; ok && len(found) > len(at) {
			head, at = i, found
		}
	}
	if head < 0 {
		return nil, errors.New("no line names the columns: it needs at least an address and a name, " +
			"as 'address,name,type,scale,unit,function,writable'")
	}
	l := &List{Order: o.Order, taken: make(map[string]bool)}
	l.tellColumns(rows[head], at)
	var lines []line
	for i := head + 1; i < len(rows); i++ {
		if one, ok := l.line(rows[i], numbers[i], at, o); ok {
			lines = append(lines, one)
		}
	}
	count := l.counting(lines, o.Addresses)
	for _, one := range lines {
		l.point(one, count)
	}
	if len(l.Points) == 0 {
		return nil, errors.New("no line has a register: " + strings.Join(l.Notes, "; "))
	}
	return l, nil
}

// text returns a list as UTF-8: what is not is taken for Latin-1.
func text(content []byte) string {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if utf8.Valid(content) {
		return string(content)
	}
	runes := make([]rune, len(content))
	for i, b := range content {
		runes[i] = rune(b)
	}
	return string(runes)
}

// table splits a list at the sign that splits most of its lines, and returns the
// number of each line, too.
func table(content string) (rows [][]string, numbers []int) {
	sign, most := ',', 0
	for _, s := range []rune{',', ';', '\t', '|'} {
		if n := strings.Count(content, string(s)); n > most {
			sign, most = s, n
		}
	}
	r := csv.NewReader(strings.NewReader(content))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = sign, -1, true, true
	for {
		cells, err := r.Read()
		if err == io.EOF {
			return rows, numbers
		}
		if err != nil {
			continue // a line that is no CSV is no register
		}
		number, _ := r.FieldPos(0)
		rows, numbers = append(rows, cells), append(numbers, number)
	}
}

func (l *List) note(format string, args ...any) {
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

func (l *List) tellColumns(head []string, at map[role]int) {
	var told []string
	for _, h := range headers {
		if i, ok := at[h.role]; ok {
			told = append(told, fmt.Sprintf("%s from %q", h.role, strings.TrimSpace(head[i])))
		}
	}
	l.note("columns: %s", strings.Join(told, ", "))
	if _, ok := at[kind]; !ok {
		l.note("no column tells the type: numbers are without a sign, as wide as their length")
	}
	if i, ok := at[divisor]; ok {
		l.note("%q divides: 10 is scale 0.1", strings.TrimSpace(head[i]))
	}
}

// line takes a line apart; what has no address is none.
func (l *List) line(cells []string, number int, at map[role]int, o Options) (line, bool) {
	one := line{number: number, cells: make(map[role]string)}
	for role, i := range at {
		if i < len(cells) {
			one.cells[role] = strings.TrimSpace(cells[i])
		}
	}
	if one.cells[address] == "" || one.cells[name] == "" {
		return one, false
	}
	var ok bool
	if one.digits, one.value, ok = readAddress(one.cells[address]); !ok {
		l.note("line %d is left out: %q is no address", number, one.cells[address])
		return one, false
	}
	one.table, one.set = readTable(one.cells[function])
	if one.table == "" && one.cells[function] != "" {
		l.note("line %d is left out: %q is no function or table", number, one.cells[function])
		return one, false
	}
	if one.table == "" {
		one.table = o.Table
	}
	return one, true
}

// counting says how the addresses of all lines are counted.
func (l *List) counting(lines []line, asked string) string {
	if asked != "" && asked != Auto {
		return asked
	}
	ref := len(lines) > 0
	for _, one := range lines {
		ref = ref && isRef(one)
	}
	if ref {
		l.note("addresses: as manuals print them, 40001 is holding 0; if they are sent as they stand, say --addresses wire")
		return Ref
	}
	l.note("addresses: from 0, as they are sent; if they count from 1, say --addresses one")
	return Wire
}

// isRef reports whether an address looks like one that manuals print, and its
// table is the one that its first digit means.
func isRef(one line) bool {
	tables := map[byte]string{'0': "coil", '1': "discrete", '3': "input", '4': "holding"}
	d := one.digits
	if len(d) != 5 && len(d) != 6 || strings.Trim(d[1:], "0") == "" {
		return false
	}
	table := tables[d[0]]
	return table != "" && (one.table == "" || one.table == table)
}

// point adds the point of a line.
func (l *List) point(one line, count string) {
	p := Point{Name: l.free(pointName(one.cells[name]))}
	skip := func(format string, args ...any) {
		l.note("line %d (%s) is left out: %s", one.number, p.Name, fmt.Sprintf(format, args...))
	}
	read, write := readAccess(one.cells[access])
	if write && !read && one.table != "" && one.table != "holding" && one.table != "coil" {
		skip("it can only be written, and %s can only be read", one.table)
		return
	}
	where := one.table
	if where == "" {
		where = "holding"
	}
	switch {
	case count == Ref && !isRef(one):
		skip("%q is not as manuals print addresses", one.cells[address])
		return
	case count == Ref:
		where = map[byte]string{'0': "coil", '1': "discrete", '3': "input", '4': "holding"}[one.digits[0]]
		p.add("ref: %s", one.digits)
	case one.value > 65535 || count == One && one.value == 0:
		skip("address %s is not one of 65,536", one.cells[address])
		return
	default:
		p.add("%s: %s", where, strconv.Itoa(one.value))
	}
	if count == One {
		l.Base = 1
	}
	if why := l.value(&p, one, where); why != "" {
		skip("%s", why)
		return
	}
	if write || one.set {
		if where == "holding" || where == "coil" {
			p.add("writable: %s", limits(one))
			if !read {
				p.add("access: write")
			}
			if where == "holding" && limits(one) == "true" {
				l.note("%s is writable without limits: give it min and max", p.Name)
			}
		}
	}
	l.Points, l.taken[p.Name] = append(l.Points, p), true
}

// value adds the keys of how the registers are read; it returns why not.
func (l *List) value(p *Point, one line, where string) string {
	if where == "coil" || where == "discrete" {
		return ""
	}
	registers, _ := strconv.Atoi(one.cells[length])
	if registers == 16 || registers == 32 || registers == 64 { // of bits
		registers /= 16
	}
	if registers == 0 {
		registers = readSpan(one.cells[address])
	}
	kind, swapped, err := readType(one.cells[kind], registers)
	if err != nil {
		return err.Error()
	}
	if b, err := strconv.Atoi(one.cells[bit]); err == nil {
		if b < 0 || b > 15 {
			return fmt.Sprintf("bit %d is not one of a register", b)
		}
		p.add("bit: %d", b)
		return ""
	}
	switch kind {
	case "string":
		if registers < 1 || registers > 125 {
			return "a text needs its length in registers"
		}
		p.add("type: string, length: %d", 2*registers)
		return ""
	case "uint16":
	default:
		p.add("type: %s", kind)
	}
	asked := strings.ToUpper(squeeze(one.cells[order]))
	if slices.Contains([]string{"ABCD", "CDAB", "BADC", "DCBA"}, asked) {
		p.add("order: %s", asked)
	} else if wide := strings.Contains(kind, "32") || strings.Contains(kind, "64") || strings.Contains(kind, "48"); wide &&
		(swapped || readsLittle(one.cells[order])) {
		p.add("order: CDAB")
	}
	if kind == "bool" {
		return ""
	}
	return l.number(p, one)
}

// readsLittle reports whether a word for an order means the low word first.
func readsLittle(text string) bool {
	s := squeeze(text)
	return strings.Contains(s, "little") || strings.Contains(s, "swap") || s == "le" || strings.Contains(s, "low")
}

// number adds scale, offset, invalid, enum and unit.
func (l *List) number(p *Point, one line) string {
	factor, unit := readUnit(one.cells[unit])
	if factor != "" && one.cells[scale] == "" && one.cells[divisor] == "" {
		one.cells[scale] = factor
	}
	if s := one.cells[scale]; s != "" {
		n, ok := readNumber(s)
		if !ok || n == "0" {
			return fmt.Sprintf("scale %q is no number", s)
		}
		if n != "1" {
			p.add("scale: %s", n)
		}
	} else if s := one.cells[divisor]; s != "" {
		n, ok := readNumber(s)
		if ok {
			n, ok = inverse(n)
		}
		if !ok {
			return fmt.Sprintf("divisor %q is no number", s)
		}
		if n != "1" {
			p.add("scale: %s", n)
		}
	}
	if n, ok := readNumber(one.cells[offset]); ok && n != "0" {
		p.add("offset: %s", n)
	}
	if states := readStates(one.cells[enum]); states != "" {
		p.add("enum: %s", states)
	}
	if squeeze(unit) != "na" && unit != "" && unit != "-" && unit != "1" {
		p.add("unit: %s", quoted(unit))
	}
	return ""
}

// limits returns what stands after writable.
func limits(one line) string {
	from, okFrom := readNumber(one.cells[least])
	to, okTo := readNumber(one.cells[greatest])
	if okFrom && okTo {
		return fmt.Sprintf("{min: %s, max: %s}", from, to)
	}
	return "true"
}

func (p *Point) add(format string, args ...any) {
	p.keys = append(p.keys, fmt.Sprintf(format, args...))
}

// free returns a name that no point has yet.
func (l *List) free(name string) string {
	free := name
	for n := 2; l.taken[free]; n++ {
		free = fmt.Sprintf("%s_%d", name, n)
	}
	return free
}

// YAML writes the points as a profile of that name, for a file that a
// configuration includes.
func (l *List) YAML(name, from string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# A configuration takes it by include:, and a device by profile: %s\nprofiles:\n  %s:\n", name, name)
	fmt.Fprintf(&b, "    source: %s\n", quoted(from))
	if l.Order != "" {
		fmt.Fprintf(&b, "    order: %s\n", l.Order)
	}
	if l.Base != 0 {
		fmt.Fprintf(&b, "    base: %d\n", l.Base)
	}
	b.WriteString("    points:\n")
	for _, p := range l.Points {
		fmt.Fprintf(&b, "      %s: {%s}\n", p.Name, strings.Join(p.keys, ", "))
	}
	return b.String()
}
