// Package markup writes HTML. Names of elements and attributes are constants of the
// program; everything else is text, and is escaped in the one place that writes it. So
// nothing that a device, a sensor or a file says becomes an element, an attribute or
// an address of another host.
package markup

import (
	"net/url"
	"strconv"
	"strings"
)

// constant is text that stands in the program: the type is not exported, so that
// others can pass nothing but their own untyped constants.
type constant string

// Writer collects the text of a document. An element is open from Open to its Close;
// attributes come right after Open or Empty. The zero value is empty and ready.
type Writer struct {
	text  []byte
	open  []constant // elements, outermost first
	inTag bool       // the last tag can still take attributes
}

// Bytes returns the text; it is valid until the next call. It panics if an element is
// still open.
func (w *Writer) Bytes() []byte {
	w.endTag()
	if len(w.open) > 0 {
		panic("markup: still open: " + string(w.open[len(w.open)-1]))
	}
	return w.text
}

// Doctype begins a document.
func (w *Writer) Doctype() { w.text = append(w.text, "<!DOCTYPE html>\n"...) }

// Open begins an element.
func (w *Writer) Open(name constant) *Writer {
	w.Empty(name)
	w.open = append(w.open, name)
	return w
}

// Empty writes an element that has no content and no end tag, such as input.
//
//go:noinline
func (w *Writer) Empty(name constant) *Writer {
	w.endTag()
	w.text = append(w.text, '<')
	w.text = append(w.text, name...)
	w.inTag = true
	return w
}

// Close ends the innermost element that is open.
//
//go:noinline
func (w *Writer) Close() *Writer {
	w.endTag()
	last := len(w.open) - 1
	w.text = append(w.text, "</"...)
	w.text = append(w.text, w.open[last]...)
	w.text = append(w.text, '>')
	w.open = w.open[:last]
	return w
}

// Attr gives the tag an attribute. It panics for those whose value a browser runs or
// fetches: addresses are given by To.
//
//go:noinline
func (w *Writer) Attr(name constant, value string) *Writer {
	if runs(name) {
		panic("markup: " + string(name) + " takes no text")
	}
	w.attr(name, value)
	return w
}

// Flag gives the tag an attribute without a value, such as hidden.
//
//go:noinline
func (w *Writer) Flag(name constant) *Writer {
	w.inTagOnly()
	w.text = append(w.text, ' ')
	w.text = append(w.text, name...)
	return w
}

// Class gives the tag its class, and nothing if that is empty.
//
//go:noinline
func (w *Writer) Class(class string) *Writer {
	if class == "" {
		return w
	}
	return w.Attr("class", class)
}

// To gives the tag the address of something of this host in the attribute name: up
// folders above the page, then path, and at its end names, each one step of a path.
func (w *Writer) To(name constant, up int, path constant, names ...string) *Writer {
	address := strings.Repeat("../", up) + string(path)
	for _, n := range names {
		address += url.PathEscape(n)
	}
	w.attr(name, address)
	return w
}

// Refresh makes the tag, a meta, one by which the browser asks again after seconds.
func (w *Writer) Refresh(seconds int) *Writer {
	w.attr("http-equiv", "refresh")
	w.attr("content", strconv.Itoa(seconds))
	return w
}

// Text writes text, inside of an element. It panics in those whose text a browser
// does not read as text.
//
//go:noinline
func (w *Writer) Text(text string) *Writer {
	if n := len(w.open); n > 0 && (w.open[n-1] == "script" || w.open[n-1] == "style") {
		panic("markup: " + string(w.open[n-1]) + " takes no text")
	}
	w.endTag()
	w.escape(text)
	return w
}

func (w *Writer) attr(name constant, value string) {
	w.Flag(name)
	w.text = append(w.text, `="`...)
	w.escape(value)
	w.text = append(w.text, '"')
}

func (w *Writer) inTagOnly() {
	if !w.inTag {
		panic("markup: an attribute outside of a tag")
	}
}

func (w *Writer) endTag() {
	if w.inTag {
		w.text = append(w.text, '>')
		w.inTag = false
	}
}

// escape writes text such that it ends neither an element's text nor a quoted value
// (HTML, sections 13.1.2.3 and 13.1.4). A NUL has no place in a document.
func (w *Writer) escape(text string) {
	from := 0
	for i := range len(text) {
		var as string
		switch text[i] {
		case '&':
			as = "&amp;"
		case '<':
			as = "&lt;"
		case '>':
			as = "&gt;"
		case '"':
			as = "&#34;"
		case '\'':
			as = "&#39;"
		case 0:
			as = "\uFFFD"
		default:
			continue
		}
		w.text = append(append(w.text, text[from:i]...), as...)
		from = i + 1
	}
	w.text = append(w.text, text[from:]...)
}

// runs reports whether a browser takes the value of an attribute as an address or as
// a program.
func runs(name constant) bool {
	switch name {
	case "href", "src", "srcset", "srcdoc", "action", "formaction", "data", "poster", "style", "http-equiv":
		return true
	}
	return strings.HasPrefix(string(name), "on")
}
