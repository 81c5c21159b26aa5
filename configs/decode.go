package configs

import (
	"encoding"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// decoder fills configuration structs from a tree, by the rules of package
// setting, and collects everything that is wrong.
type decoder struct {
	problems []tree.Problem
	// faulty are the paths of what could not be decoded: what Validate says
	// about them is a consequence and not told.
	faulty    map[string]bool
	faultyKey map[string]bool // what they are keys of
	files     []fileRef
	paths     []*tree.Node // the texts that are paths
	made      map[origin]reflect.Value
}

// origin is what a value is made of: devices of one profile have its nodes in common,
// and with them what was made of these.
type origin struct {
	node *tree.Node
	of   reflect.Type
}

// once makes a map by fill, or shares the one that was made of the same node before:
// whoever has the configuration only reads it. What there was something to note of is
// made again, as it is noted by its place.
func (d *decoder) once(n *tree.Node, v reflect.Value, fill func()) {
	s := origin{n, v.Type()}
	if made, ok := d.made[s]; ok {
		v.Set(made)
		return
	}
	noted := d.noted()
	fill()
	if d.noted() > noted {
		return
	}
	if d.made == nil {
		d.made = make(map[origin]reflect.Value)
	}
	d.made[s] = reflect.ValueOf(v.Interface())
}

// noted counts what was noted of values.
func (d *decoder) noted() int { return len(d.problems) + len(d.faulty) + len(d.files) + len(d.paths) }

// place is where in the configuration a value is: a key in another place.
type place struct {
	in  *place // nil for the root
	key string
}

func (p *place) down(key string) *place { return &place{p, key} }

// path returns the keys from the root.
func (p *place) path() []string {
	var keys []string
	for ; p.in != nil; p = p.in {
		keys = append(keys, p.key)
	}
	slices.Reverse(keys)
	return keys
}

// name returns what to call the value in a message.
func (p *place) name() string {
	if p.in == nil {
		return "the file"
	}
	if _, err := strconv.Atoi(p.key); err == nil && p.in.in != nil {
		return p.in.key
	}
	return p.key
}

func pathKey(path []string) string { return strings.Join(path, "\x00") }

func (d *decoder) fail(p *place, at tree.Position, text, fix string) {
	d.suspect(p)
	d.problems = append(d.problems, tree.NewProblem(at, text, fix))
}

// suspect notes that the value at p cannot be judged.
func (d *decoder) suspect(p *place) {
	if d.faulty == nil {
		d.faulty, d.faultyKey = make(map[string]bool), make(map[string]bool)
	}
	if p.in != nil {
		d.faulty[pathKey(p.path())] = true
		d.faultyKey[pathKey(p.in.path())] = true
	}
}

// explains reports whether what Validate says about path is probably a
// consequence of what could not be decoded: it itself, what it is in, or one of
// its keys.
func (d *decoder) explains(path []string) bool {
	for i := range path {
		if d.faulty[pathKey(path[:i+1])] {
			return true
		}
	}
	return d.faultyKey[pathKey(path)]
}

var pathType = reflect.TypeFor[setting.Path]()

// setDefaults calls SetDefaults of v, which is addressable, and of the structs
// in it that v leaves zero.
func setDefaults(v reflect.Value) {
	if s, ok := v.Addr().Interface().(interface{ SetDefaults() }); ok {
		s.SetDefaults()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range keys.Of(v.Type()) {
		if inner := v.FieldByIndex(f.Index); inner.Kind() == reflect.Struct && inner.IsZero() {
			setDefaults(inner)
		}
	}
}

// fresh is decode for a value that nobody has given defaults yet.
func (d *decoder) fresh(n *tree.Node, v reflect.Value, p *place) {
	if v.Kind() != reflect.Pointer {
		setDefaults(v)
	}
	d.decode(n, v, p)
}

// decode fills v, which is addressable and has its defaults.
func (d *decoder) decode(n *tree.Node, v reflect.Value, p *place) {
	if n.Unknown {
		d.suspect(p) // what it is can only be told where it is known
		if v.Kind() == reflect.String {
			v.SetString(n.Text)
		}
		return
	}
	if n.Partial {
		d.suspect(p)
	}
	before := len(d.problems)
	d.decodeKnown(n, v, p)
	if n.Secret != nil && len(d.problems) > before {
		d.problems = append(d.problems[:before], tree.NewProblem(n.Pos,
			fmt.Sprintf("what %s holds is not a valid %s", n.Source(), p.name()), "check it there: it is not shown here"))
	}
}

func (d *decoder) decodeKnown(n *tree.Node, v reflect.Value, p *place) {
	if n.Kind == tree.Null {
		d.fail(p, n.Pos, p.name()+" has no value", "give it one, or remove the key")
		return
	}
	if n.Kind == tree.Scalar && setting.IsPEM(n.Text) && v.Type() != pathType && v.Kind() != reflect.Pointer {
		d.fail(p, n.Pos, p.name()+" is PEM text", "that is for certificate, private_key and ca alone")
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.fresh(n, v.Elem(), p)
		return
	}
	if v.Type() == pathType {
		d.path(n, v, p)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok && (n.Kind == tree.Scalar || !hasOwnForm(v.Type())) {
		d.unmarshal(n, v, u, p)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, p)
	case reflect.Map:
		d.once(n, v, func() { d.table(n, v, p) })
	case reflect.Slice:
		if isOrdered(v.Type()) {
			d.ordered(n, v, p)
			return
		}
		d.list(n, v, p)
	default:
		d.scalar(n, v, p)
	}
}

// path fills a path. What is from a file or the environment stays there until the
// file is read; of a folder, whose name is not a secret, it is taken now.
func (d *decoder) path(n *tree.Node, v reflect.Value, p *place) {
	if !d.text(n, v, p) {
		return
	}
	d.paths = append(d.paths, n)
	key := p.name()
	pem := setting.IsPEM(n.Text)
	switch {
	case pem && !slices.Contains([]string{"certificate", "private_key", "ca"}, key):
		v.SetString("")
		d.fail(p, n.Pos, key+" is PEM text", "give the path of a file")
		return
	case n.Secret == nil && setting.IsReference(n.Text):
		d.fail(p, n.Pos, key+" has ${ in the name of a file", "rename the file")
		return
	case isDER(n.Text):
		v.SetString("")
		d.fail(p, n.Pos, key+" is what a file holds, not its path", "give the path, or PEM text with its -----BEGIN line")
		return
	case key == "dir", key == "claim":
		v.SetString(resolve(n.Pos.File, n.Text))
		return
	case n.Here:
		v.SetString(n.Text)
	case n.Secret != nil:
		v.SetString(later(n))
	default:
		v.SetString(resolve(n.Pos.File, n.Text))
	}
	d.files = append(d.files, fileRef{key, setting.Path(v.String()), n.Pos})
}

// later returns a path of which parts are looked up when the file is read.
func later(n *tree.Node) string {
	text := sourceOf(n)
	if !setting.IsPEM(n.Text) && n.Text != "" && !filepath.IsAbs(n.Text) {
		return filepath.Join(filepath.Dir(n.Pos.File), text)
	}
	return text
}

// isDER reports whether a text is a key or certificate in base64, without the lines
// that say so.
func isDER(text string) bool {
	if len(text) < 100 || !strings.HasPrefix(text, "MI") {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		letter := r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("+/=\n\r ", r)
	})
}

// hasOwnForm reports whether a type with UnmarshalText is also written as a map
// or list.
func hasOwnForm(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Map, reflect.Slice:
		return true
	case reflect.Struct:
		return len(keys.Of(t)) > 0
	}
	return false
}

// isOrdered recognises setting.Ordered and types made of it.
func isOrdered(t reflect.Type) bool {
	e := t.Elem()
	return e.Kind() == reflect.Struct && e.PkgPath() == pathType.PkgPath() && strings.HasPrefix(e.Name(), "Named[")
}

// resolve makes a path relative to the file that names it.
func resolve(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// object fills a struct.
func (d *decoder) object(n *tree.Node, v reflect.Value, p *place) {
	fields := keys.Of(v.Type())
	if n.Kind != tree.Mapping {
		d.fail(p, n.Pos, fmt.Sprintf("%s is %s where keys are needed", p.name(), n.Show()),
			"the keys are "+keys.List(keysOf(v.Type())))
		return
	}
	for _, m := range n.Members {
		at := p.down(m.Key)
		i := slices.IndexFunc(fields, func(f keys.Field) bool { return f.Key == m.Key })
		if i < 0 {
			d.unknown(m, keysOf(v.Type()), p)
			continue
		}
		if m.Bare {
			d.fail(at, m.Pos, m.Key+" has no value", "write "+m.Key+": and its value")
			continue
		}
		d.decode(m.Value, v.FieldByIndex(fields[i].Index), at)
	}
}

func (d *decoder) unknown(m tree.Member, fields []keys.Field, p *place) {
	text := fmt.Sprintf("unknown key %q", m.Key)
	if p.in != nil {
		text += " in " + strings.Join(p.path(), ".")
	}
	fix := "the keys here are " + keys.List(fields)
	if m.Key == "include" && slices.ContainsFunc(fields, func(f keys.Field) bool { return f.Key == m.Key }) {
		d.fail(p.down(m.Key), m.Pos, "include has no meaning here", "put it at the top of the file, without indentation")
		return
	}
	if home := belongs(m.Key); home != "" {
		fix = home
	} else if s := keys.Suggest(m.Key, fields); s != "" {
		fix = fmt.Sprintf("did you mean %q?", s)
		// That it is missing is said by this.
		d.fail(p.down(s), m.Pos, text, fix)
		return
	}
	d.fail(p.down(m.Key), m.Pos, text, fix)
}

// table fills a map.
func (d *decoder) table(n *tree.Node, v reflect.Value, p *place) {
	if n.Kind != tree.Mapping {
		d.fail(p, n.Pos, fmt.Sprintf("%s is %s where names with values are needed", p.name(), n.Show()),
			"write them on the lines below, indented: name: value")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Members)))
	for _, m := range n.Members {
		at := p.down(m.Key)
		key := reflect.New(v.Type().Key()).Elem()
		keyNode := &tree.Node{Kind: tree.Scalar, Pos: m.Pos, Text: m.Key, Plain: true}
		if !d.key(keyNode, key, at) {
			continue
		}
		if v.MapIndex(key).IsValid() {
			d.fail(at, m.Pos, fmt.Sprintf("key %s is given twice", m.Key), "remove one of them")
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.fresh(m.Value, value, at)
		v.SetMapIndex(key, value)
	}
}

// key decodes the key of a map.
func (d *decoder) key(n *tree.Node, v reflect.Value, p *place) bool {
	before := len(d.problems)
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.unmarshal(n, v, u, p)
	} else {
		d.scalar(n, v, p)
	}
	return len(d.problems) == before
}

// ordered fills a map whose order matters.
func (d *decoder) ordered(n *tree.Node, v reflect.Value, p *place) {
	if n.Kind != tree.Mapping {
		d.fail(p, n.Pos, fmt.Sprintf("%s is %s where names with values are needed", p.name(), n.Show()),
			"write them on the lines below, indented: name: value")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Members), len(n.Members)))
	for i, m := range n.Members {
		e := v.Index(i)
		e.FieldByName("Name").SetString(m.Key)
		d.fresh(m.Value, e.FieldByName("Value"), p.down(m.Key))
	}
}

// list fills a slice.
func (d *decoder) list(n *tree.Node, v reflect.Value, p *place) {
	if n.Kind != tree.List {
		fix := "write [a, b]"
		if n.Kind == tree.Scalar {
			fix = fmt.Sprintf("write [%s]", n.Text)
		}
		d.fail(p, n.Pos, fmt.Sprintf("%s is %s where a list is needed", p.name(), n.Show()), fix)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
	for i, item := range n.Items {
		d.fresh(item, v.Index(i), p.down(strconv.Itoa(i)))
	}
}
