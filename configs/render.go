package configs

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// Render writes what the gateway runs as YAML: merged, with variables and
// profiles written out, without what is from files and the environment. With
// origin each value has the file and line that it came from beside it.
func (l *Loaded) Render(origin bool) string {
	r := renderer{origin: origin}
	r.mapping(l.root, 0)
	return r.String()
}

// WriteSnapshot writes the configuration so that it means the same in another
// folder: as [Loaded.Render], with absolute paths. It writes piece by piece, as it
// is called when a gateway needs its most memory.
func (l *Loaded) WriteSnapshot(w io.Writer) error {
	r := renderer{absolute: make(map[*tree.Node]bool, len(l.paths)), out: w}
	for _, n := range l.paths {
		r.absolute[n] = true
	}
	r.mapping(l.root, 0)
	r.flush()
	return r.err
}

// flushAt is how much a renderer with an out holds at most, about.
const flushAt = 16 << 10

func (r *renderer) flush() {
	if _, err := r.WriteTo(r.out); err != nil && r.err == nil {
		r.err = err
	}
}

type renderer struct {
	bytes.Buffer
	out      io.Writer // nil keeps all
	err      error     // of out
	origin   bool
	absolute map[*tree.Node]bool // the texts that are paths; nil leaves them as they are
}

func (r *renderer) mapping(n *tree.Node, depth int) {
	for _, m := range n.Members {
		fmt.Fprintf(r, "%s%s:", strings.Repeat("  ", depth), tree.Text(m.Key, true))
		r.value(m.Value, depth)
		if r.out != nil && r.Len() >= flushAt {
			r.flush()
		}
	}
}

// value writes what stands after a key or dash, and ends the line.
func (r *renderer) value(n *tree.Node, depth int) {
	switch {
	case n.Kind == tree.Mapping && len(n.Members) > 0:
		r.WriteByte('\n')
		r.mapping(n, depth+1)
		return
	case n.Kind == tree.List && !flat(n):
		r.WriteByte('\n')
		for _, item := range n.Items {
			if item.Kind == tree.Mapping && len(item.Members) > 0 {
				r.item(item, depth+1)
				continue
			}
			fmt.Fprintf(r, "%s-", strings.Repeat("  ", depth+1))
			r.value(item, depth+1)
		}
		return
	case n.Kind == tree.List:
		items := make([]string, len(n.Items))
		for i, item := range n.Items {
			items[i] = r.scalar(item)
		}
		r.WriteString(" [" + strings.Join(items, ", ") + "]")
	case n.Kind == tree.Mapping:
		r.WriteString(" {}")
	default:
		r.WriteString(" " + r.scalar(n))
	}
	if r.origin {
		fmt.Fprintf(r, "  # %s:%d", n.Pos.File, n.Pos.Line)
	}
	r.WriteByte('\n')
}

// item writes a mapping in a list: its first key stands after the dash.
func (r *renderer) item(n *tree.Node, depth int) {
	inner := renderer{origin: r.origin, absolute: r.absolute}
	inner.mapping(n, depth+1)
	indent := strings.Repeat("  ", depth)
	r.WriteString(indent + "- " + strings.TrimPrefix(inner.String(), indent+"  "))
}

// flat reports whether a list has only scalars.
func flat(n *tree.Node) bool {
	for _, item := range n.Items {
		if item.Kind == tree.Mapping || item.Kind == tree.List {
			return false
		}
	}
	return true
}

func (r *renderer) scalar(n *tree.Node) string {
	switch {
	case n.Kind == tree.Null:
		return "null"
	case n.Here && r.absolute != nil:
		return tree.Text(strings.ReplaceAll(n.Text, "${", "$${"), false) // a snapshot must mean the same
	case n.Secret != nil || n.Unknown:
		text := n.Source()
		if text == "" {
			text = n.Text
		}
		if r.absolute != nil {
			text = absoluteFiles(n.Pos.File, text)
		}
		return tree.Text(text, false)
	}
	text := strings.ReplaceAll(n.Text, "${", "$${")
	switch {
	case r.absolute[n]:
		text = absolute(n.Pos.File, text)
	case r.absolute == nil && strings.Contains(text, "://"):
		text = setting.MaskUserinfo(text)
	}
	return tree.Text(text, n.Plain)
}

// sourceOf returns what a text is from, with absolute paths.
func sourceOf(n *tree.Node) string { return absoluteFiles(n.Pos.File, n.Source()) }

// absoluteFiles makes the paths in each ${file:...} absolute.
func absoluteFiles(file, text string) string {
	return fileVariable.ReplaceAllStringFunc(text, func(v string) string {
		return "${file:" + absolute(file, v[len("${file:"):len(v)-1]) + "}"
	})
}

var fileVariable = regexp.MustCompile(`\$\{file:[^}]*\}`)

// absolute makes a path that a file names absolute.
func absolute(file, path string) string {
	path = resolve(file, path)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
