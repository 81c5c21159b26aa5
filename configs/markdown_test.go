package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"fieldbridge/configs/fleet"
	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
)

// example is how a key is used in one of the example files.
type example map[string]string // "Type.key" to a value

// examples collects the first value of each key in the example files.
func examples(t *testing.T) example {
	t.Helper()
	e := make(example)
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root, _ := tree.Parse(file, content)
		kind := configType
		if fleet.Is(root) {
			kind = fleetType
		}
		e.collect(root, kind)
	}
	return e
}

func (e example) collect(n *tree.Node, t reflect.Type) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind != tree.Mapping {
		return
	}
	switch t.Kind() {
	case reflect.Map:
		for _, m := range n.Members {
			e.collect(m.Value, t.Elem())
		}
	case reflect.Slice:
		if isOrdered(t) {
			value, _ := t.Elem().FieldByName("Value")
			for _, m := range n.Members {
				e.collect(m.Value, value.Type)
			}
		}
	case reflect.Struct:
		types := []reflect.Type{t}
		if extra, ok := usedUp[t]; ok {
			types = append(types, extra)
		}
		for _, owner := range types {
			for _, f := range keys.Of(owner) {
				m := n.Get(f.Key)
				if m == nil {
					continue
				}
				key := t.String() + "." + f.Key
				if text := short(m.Value); e[key] == "" && text != "" {
					e[key] = text
				}
				e.collect(m.Value, owner.FieldByIndex(f.Index).Type)
			}
		}
	}
}

// short writes a value in one line, "" if it is long.
func short(n *tree.Node) string {
	text := ""
	switch n.Kind {
	case tree.Scalar:
		text = tree.Text(n.Text, true)
	case tree.List:
		var items []string
		for _, item := range n.Items {
			if short(item) == "" {
				return ""
			}
			items = append(items, short(item))
		}
		text = "[" + strings.Join(items, ", ") + "]"
	case tree.Mapping:
		var items []string
		for _, m := range n.Members {
			if short(m.Value) == "" {
				return ""
			}
			items = append(items, tree.Text(m.Key, true)+": "+short(m.Value))
		}
		text = "{" + strings.Join(items, ", ") + "}"
	}
	if len(text) > 60 {
		return ""
	}
	return text
}

const markdownHead = `# Configuration

This page is made of the configuration types and their comments; do not edit it
(` + "`go test ./configs -run TestReference -update`" + ` writes it). Editors complete and explain
the keys with ` + "`configs/schema/gateway.schema.json`" + ` and ` + "`fleet.schema.json`" + `: begin a file with

    # yaml-language-server: $schema=PATH/gateway.schema.json

A gateway has one YAML file. ` + "`fieldbridge check FILE`" + ` tells everything that is wrong
with it as ` + "`file:line:column: what is wrong: what to do`" + `, or what the gateway will do.

- An unknown key, a key given twice and a value of a wrong type are errors.
- Durations are ` + "`250ms`, `5s`, `1h30m`, `30d`" + `; sizes ` + "`512`, `64KiB`, `1GiB`" + `.
- Numbers are decimal, whole numbers also hexadecimal (` + "`0x1F`" + `); a leading zero is
  refused, as some YAML readers take it as octal. Only ` + "`true` and `false`" + ` are truth
  values.
- Files are relative to the file that names them.
- Text that begins with ` + "`{`, `[`, `*`, `&`, `%`, `@`" + ` or has ` + "`: `" + ` in it needs quotes. Anchors,
  aliases and tags of YAML are refused.
- ` + "`${name}`" + ` is replaced when the file is read: from ` + "`vars`, `${env:NAME}`," + `
  ` + "`${env:NAME:-default}`, `${file:PATH}`" + `; a value that is nothing else may be a list or a map. ` + "`$${`" + `
  stands for the two
  characters. What comes from files and the environment is shown nowhere.
- ` + "`{name}`" + ` is replaced when a message passes, in topics and names.
- A key ` + "`\"meter-{1..8}\"`" + ` stands for eight, with ` + "`${n}`" + ` as the number below it.
`

const changeIntro = `
# Changing a running gateway

` + "`fieldbridge reload FILE`" + `, SIGHUP, or ` + "`watch: true`" + ` when a file changes, read the file
again. It is checked whole first: if it is wrong, nothing changes, and log, health and
` + "`fieldbridge status`" + ` tell why. Otherwise only what differs changes: other devices keep
their cycles, the queue is never touched, and sessions restart only if their own keys
changed. Only ` + "`gateway` and `store.dir`" + ` need a restart of the gateway.

` + "`fieldbridge reload FILE --confirm 5m`" + ` takes the change back by itself unless, after that
time, the link is up and acknowledges, and as many points are good as before
(` + "`--good 90%`" + ` asks for fewer; devices that were taken out do not count). A device that is not
read again yet since the reload before counts as it was before that; at the start of the gateway
the first readings are waited for, for at most 15 s.

A configuration is good once it is confirmed or has run for 5 minutes. The last good one
is kept in the queue's folder. The gateway starts with it, and says so, when the file is
wrong, when it ended in the middle of a trial, or when it was started three times with a
configuration that never became good. To insist on the file, correct it or reload.
`

const fleetIntro = `
# Fleet files

One file may describe many gateways. Each is the fleet's ` + "`defaults`" + `, then its
groups in their order, then its own keys: maps are merged by key, lists and values
replaced, and ` + "`null`" + ` removes. ` + "`fieldbridge run FLEET --gateway NAME`" + ` runs one of them;
without the flag the certificate of the defaults names it, else the host's name.
` + "`fieldbridge fleet`" + ` lists, checks, renders and compares them.
`

// markdown writes the reference of all keys.
func markdown(docs *sourceDocs, e example) string {
	w := markdownWriter{docs: docs, examples: e}
	w.WriteString(markdownHead)
	w.section("The file of a gateway", withDefaults(configType))
	w.WriteString(changeIntro)
	w.WriteString(fleetIntro)
	w.section("The fleet file", withDefaults(fleetType))
	return w.String()
}

type markdownWriter struct {
	strings.Builder
	docs     *sourceDocs
	examples example
	done     []reflect.Type
}

// section writes the keys of a struct, then those of the structs in it.
func (w *markdownWriter) section(title string, v reflect.Value) {
	t := v.Type()
	for _, done := range w.done {
		if done == t {
			return
		}
	}
	w.done = append(w.done, t)
	fmt.Fprintf(w, "\n## %s\n\n", title)
	w.WriteString("| key | value | default | example | meaning |\n|---|---|---|---|---|\n")
	type inner struct {
		title string
		v     reflect.Value
	}
	var inners []inner
	for _, k := range keysIn(w.docs, v) {
		sh := shapeOf(w.docs, k.value.Type())
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", k.key, sh.words, code(k.fallback),
			code(w.examples[t.String()+"."+k.key]), strings.ReplaceAll(k.text, "|", `\|`))
		name := k.key
		if t != configType && t != fleetType {
			name = title + "." + k.key
		}
		for sh.elem != nil {
			if !sh.list {
				name += ".NAME"
			}
			sh = shapeOf(w.docs, sh.elem)
		}
		switch {
		case sh.object == nil:
		case sh.object == k.value.Type(): // its defaults may be those that v gives it
			inners = append(inners, inner{name, k.value})
		default:
			inners = append(inners, inner{name, withDefaults(sh.object)})
		}
	}
	for _, i := range inners {
		w.section(i.title, i.v)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}
