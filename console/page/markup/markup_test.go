package markup

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;\x00</title></textarea>--></td>"

// document writes text into each place that takes text.
func document(text string) string {
	var w Writer
	w.Doctype()
	w.Open("html").Attr("lang", "en").Open("head").Open("title").Text(text).Close().Close()
	w.Open("body").Attr("data-version", text).Class(text)
	w.Open("a").To("href", 1, "device/", text).Attr("title", text).Text(text).Close()
	w.Empty("input").Attr("value", text).Flag("hidden")
	w.Open("p").Text(text).Close().Close().Close()
	return string(w.Bytes())
}

// check reads a document as a browser does: whatever the text is, it has the elements
// and attributes that the program wrote, and no others.
func check(t *testing.T, text string) {
	t.Helper()
	written := document(text)
	root, err := html.Parse(strings.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	var shape []string
	var values []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		s := n.Data
		for _, a := range n.Attr {
			s += " " + a.Key
			if a.Key == "href" {
				name, ok := strings.CutPrefix(a.Val, "../device/")
				if !ok || strings.ContainsAny(name, "/?#\\ <>\"'") {
					t.Errorf("an address %q of %q", a.Val, text)
				}
			} else if a.Key != "lang" && a.Key != "hidden" {
				values = append(values, a.Val)
			}
		}
		shape = append(shape, s)
	}
	const want = "html lang|head|title|body data-version class|a href title|input value hidden|p"
	without := strings.Replace(want, " class", "", 1) // an empty class is none
	if got := strings.Join(shape, "|"); got != want && (text != "" || got != without) {
		t.Errorf("%q became %s", text, got)
	}
	// A parser makes one line end of the three that there are.
	same := strings.NewReplacer("\x00", "\uFFFD", "\r\n", "\n", "\r", "\n").Replace(text)
	for _, v := range values {
		if v != same {
			t.Errorf("%q is read as %q", text, v)
		}
	}
}

func TestTextStaysText(t *testing.T) {
	for _, text := range []string{"", evil, "a&amp;b", "javascript:alert(1)", "//host/x", "..", "x\" autofocus onfocus=y",
		"x onclick=y", "`", "{{.}}", "\u2028<b>", "</script>", "<!--", "]]>", "50 % & more", "a\r\nb"} {
		check(t, text)
	}
}

func FuzzTextStaysText(f *testing.F) {
	f.Add(evil)
	f.Add("a\rb<!--")
	f.Fuzz(func(t *testing.T, text string) { check(t, text) })
}

// An address is one of this host, whatever it is made of: a name is one step of a path.
func TestTo(t *testing.T) {
	for name, want := range map[string]string{
		"boiler": `<a href="../device/boiler"></a>`, "a/b?c#d": `<a href="../device/a%2Fb%3Fc%23d"></a>`,
		`"><script>`: `<a href="../device/%22%3E%3Cscript%3E"></a>`, "Kessel ä": `<a href="../device/Kessel%20%C3%A4"></a>`,
		"javascript:x": `<a href="../device/javascript:x"></a>`, "'": `<a href="../device/%27"></a>`,
	} {
		var w Writer
		if got := string(w.Open("a").To("href", 1, "device/", name).Close().Bytes()); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// What would make a program or a broken page of text is a fault of the program, and is
// found when it is written.
func TestWrongUse(t *testing.T) {
	for name, use := range map[string]func(*Writer){
		"text as an address": func(w *Writer) { w.Open("a").Attr("href", evil) },
		"text as a program":  func(w *Writer) { w.Open("a").Attr("onclick", evil) },
		"text as a style":    func(w *Writer) { w.Open("a").Attr("style", evil) },
		"a late attribute":   func(w *Writer) { w.Open("a").Text("x").Attr("title", "x") },
		"an open element":    func(w *Writer) { w.Open("a"); w.Bytes() },
		"one end too many":   func(w *Writer) { w.Open("a").Close().Close() },
		"text in a script":   func(w *Writer) { w.Open("script").Text(evil) },
		"text in a style":    func(w *Writer) { w.Open("style").Text(evil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is written", name)
				}
			}()
			use(new(Writer))
		}()
	}
}
