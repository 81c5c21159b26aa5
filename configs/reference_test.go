package configs

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/configs/keys"
	"fieldbridge/setting"
)

// The reference documents are made of the configuration structs and their doc
// comments: `go test ./configs -run TestReference -update` writes them.
func TestReference(t *testing.T) {
	docs := &sourceDocs{t: t, packages: make(map[string]map[string]string)}
	for file, content := range map[string]string{
		"schema/gateway.schema.json": schemaOf(docs, configType, false),
		"schema/fleet.schema.json":   schemaOf(docs, fleetType, true),
		"../docs/configuration.md":   markdown(docs, examples(t)),
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(have), content); diff != "" {
			t.Errorf("%s is not current, run 'go test ./configs -run TestReference -update' (-have +want):\n%s", file, diff)
		}
	}
	for _, missing := range docs.missing {
		t.Errorf("%s has no doc comment: it is the key's reference text", missing)
	}
}

var fleetType = reflect.TypeFor[fleetFile]()

// sourceDocs finds doc comments in the source of this module.
type sourceDocs struct {
	t        *testing.T
	packages map[string]map[string]string // import path to "Type" or "Type.Field" to text
	missing  []string
}

// of returns the doc comment of a type, or of one of its fields.
func (d *sourceDocs) of(t reflect.Type, fieldName string) string {
	name := t.Name()
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	if fieldName != "" {
		name += "." + fieldName
	}
	text, ok := d.load(t.PkgPath())[name]
	if !ok || text == "" {
		d.missing = append(d.missing, t.PkgPath()+"."+name)
	}
	return text
}

// constants returns the values of a string type's constants.
func (d *sourceDocs) constants(t reflect.Type) []string {
	text := d.load(t.PkgPath())["const "+t.Name()]
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (d *sourceDocs) load(path string) map[string]string {
	if found, ok := d.packages[path]; ok {
		return found
	}
	found := make(map[string]string)
	d.packages[path] = found
	files, err := filepath.Glob(filepath.Join("..", strings.TrimPrefix(path, "fieldbridge/"), "*.go"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				collect(gen, found)
			}
		}
	}
	return found
}

// collect notes the comments of types and fields, and constants by their type.
func collect(gen *ast.GenDecl, found map[string]string) {
	for _, spec := range gen.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			found[s.Name.Name] = oneLine(gen.Doc.Text() + s.Doc.Text())
			if st, ok := s.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, name := range f.Names {
						found[s.Name.Name+"."+name.Name] = oneLine(f.Doc.Text() + f.Comment.Text())
					}
				}
			}
		case *ast.ValueSpec:
			typeName, ok := s.Type.(*ast.Ident)
			if gen.Tok != token.CONST || !ok || len(s.Values) == 0 {
				continue
			}
			if lit, ok := s.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, err := strconv.Unquote(lit.Value)
				if err == nil {
					key := "const " + typeName.Name
					found[key] = strings.TrimPrefix(found[key]+"\n"+value, "\n")
				}
			}
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// keyDoc is what the reference says of one key.
type keyDoc struct {
	key      string
	value    reflect.Value // with its defaults
	text     string
	fallback string // the default, as it is written; "" if there is none
}

// withDefaults returns a value with its defaults.
func withDefaults(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}

// keysIn returns the keys of a struct with their texts, and what v has as their
// defaults.
func keysIn(docs *sourceDocs, v reflect.Value) []keyDoc {
	t := v.Type()
	var out []keyDoc
	types := []reflect.Type{t}
	if extra, ok := usedUp[t]; ok {
		types = append(types, extra)
	}
	for i, t := range types {
		if i > 0 {
			v = reflect.New(t).Elem()
		}
		for _, f := range keys.Of(t) {
			owner, sf := t, t.FieldByIndex(f.Index)
			if len(f.Index) > 1 {
				owner = t.FieldByIndex(f.Index[:len(f.Index)-1]).Type
			}
			value := v.FieldByIndex(f.Index)
			out = append(out, keyDoc{f.Key, value, withoutName(docs.of(owner, sf.Name), sf.Name), defaultText(value)})
		}
	}
	return out
}

// withoutName takes the name of the Go field off the begin of its comment.
func withoutName(text, name string) string {
	rest, ok := strings.CutPrefix(text, name+" ")
	if !ok {
		return text
	}
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	r, size := utf8.DecodeRuneInString(rest)
	return string(unicode.ToUpper(r)) + rest[size:]
}

// defaultText writes a scalar that is not zero.
func defaultText(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer:
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// shape is how values of a type are written.
type shape struct {
	words  string       // for people
	scalar string       // JSON type of the scalar form, "" if there is none
	match  string       // pattern of a string form
	object reflect.Type // the struct, if it is written with keys
	elem   reflect.Type // of a map or list
	list   bool
	enum   []string
}

const durationText = `(0|([0-9]+d)?([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))*)`

func shapeOf(docs *sourceDocs, t reflect.Type) shape {
	if t.Kind() == reflect.Pointer {
		return shapeOf(docs, t.Elem())
	}
	switch t {
	case reflect.TypeFor[setting.Duration]():
		return shape{words: "duration", scalar: "string", match: `^` + durationText + "$"}
	case wearType:
		return shape{words: "bytes in a time", scalar: "string",
			match: `^[0-9]+(\\.[0-9]+)?(KiB|MiB|GiB|TiB|[kK]B|MB|GB|TB)/(year|month|day)$`}
	case paceType:
		return shape{words: "duration or linger", scalar: "string", match: "^(linger|" + durationText + ")$"}
	case reflect.TypeFor[setting.Size]():
		return shape{words: "size", scalar: "size", match: `^[0-9]+(B|KiB|MiB|GiB|TiB)?$`}
	case reflect.TypeFor[bridge.Decimal]():
		return shape{words: "number", scalar: "number"}
	case pathType:
		return shape{words: "file", scalar: "string"}
	}
	var s shape
	switch t.Kind() {
	case reflect.Struct:
		if len(keys.Of(t)) > 0 {
			s.words, s.object = "keys", t
		}
	case reflect.Map:
		s.words, s.elem = "names", t.Elem()
	case reflect.Slice:
		s.words, s.list, s.elem = "list", true, t.Elem()
		if isOrdered(t) {
			value, _ := t.Elem().FieldByName("Value")
			s.words, s.list, s.elem = "names, in order", false, value.Type
		}
	case reflect.Interface:
		return shape{words: "anything"}
	case reflect.Bool:
		return shape{words: "true or false", scalar: "boolean"}
	case reflect.Float32, reflect.Float64:
		s.words, s.scalar = "number", "number"
	case reflect.String:
		s.words, s.scalar = "text", "string"
		if t.PkgPath() != "" {
			s.enum = docs.constants(t)
			if len(s.enum) > 0 {
				s.words = strings.Join(s.enum, " or ")
			}
		}
	default:
		s.words, s.scalar = "whole number", "integer"
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		s.scalar, s.enum = "any", nil
		if s.words == "" || s.words == "number" || s.words == "whole number" {
			s.words = "text"
		} else if s.object != nil || s.elem != nil {
			s.words = "text or " + s.words
		}
	}
	return s
}
