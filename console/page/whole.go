package page

import (
	"time"

	"fieldbridge/condition"
	"fieldbridge/console/page/markup"
)

// sheet is a page while it is written.
type sheet struct {
	markup.Writer
	*view
	l Language
}

// mark writes text with a class, within a line.
func (h *sheet) mark(class, text string) { h.Open("span").Class(class).Text(text).Close() }

// para writes a paragraph of text.
func (h *sheet) para(class, text string) { h.Open("p").Class(class).Text(text).Close() }

// why writes what a part of the gateway says of itself: that is English on every page.
func (h *sheet) why(text string) {
	if text != "" {
		h.Open("p").Class("why bad").Attr("lang", "en").Text(text).Close()
	}
}

// ago says how long ago something was.
func (h *sheet) ago(at time.Time) string { return h.l.say("%s ago", h.l.span(h.Now.Sub(at))) }

// whole writes the document that shows a gateway.
func (h *sheet) whole() {
	h.head(h.Ask.Up, h.Gateway+": "+h.Headline.Title)
	h.Open("noscript").Empty("meta").Refresh(10).Close()
	h.Open("script").To("src", h.Ask.Up, "page.js").Flag("defer").Close().Close()
	h.Text("\n").Open("body").Attr("data-version", h.Version)
	h.Open("p").Attr("id", "gone").Attr("role", "alert").Flag("hidden")
	h.Open("strong").Text(h.l.say("The gateway does not answer")).Close().Text("\n")
	h.Open("span").Text(h.l.say("What you see is old: it was so")+" ").Open("b").Attr("id", "old").Close()
	h.Text(" " + h.l.say("ago. This page goes on by itself when the gateway is back.")).Close().Close()
	h.Text("\n").Open("main").Attr("id", "main").Text("\n")
	h.sentence()
	if h.Ask.Device != "" {
		h.alone()
	} else {
		h.overview()
	}
	h.footer()
	h.Close().Close().Close()
}

// head opens a document and writes its head but for the end.
func (h *sheet) head(up int, title string) {
	h.Doctype()
	h.Open("html").Attr("lang", string(h.l)).Open("head").Text("\n").Empty("meta").Attr("charset", "utf-8").Text("\n")
	h.Empty("meta").Attr("name", "viewport").Attr("content", "width=device-width, initial-scale=1").Text("\n")
	h.Empty("meta").Attr("name", "color-scheme").Attr("content", "light dark").Text("\n")
	h.Empty("link").Attr("rel", "icon").To("href", up, "icon.svg").Text("\n")
	h.Empty("link").Attr("rel", "stylesheet").To("href", up, "page.css").Text("\n")
	h.Open("title").Text(title).Close().Text("\n")
}

// sentence writes how the gateway is, and what is wrong with it.
func (h *sheet) sentence() {
	h.Open("header").Class(h.Headline.Level).Text("\n")
	h.Open("p").Class("name").Open("a")
	if h.Ask.Up > 0 {
		h.To("href", h.Ask.Up, "")
	} else {
		h.To("href", 0, ".") // an empty address would keep what the filter has
	}
	h.Text(h.Gateway).Close().Close().Text("\n")
	h.Open("h1").Attr("id", "state").Attr("role", "status").Text(h.Headline.Title).Close().Text("\n")
	h.Open("p").Attr("id", "since").Text(h.Headline.Detail + " · " + h.Summary + " · " + h.Delivered).Close()
	if len(h.Wrong) > 0 {
		h.Text("\n").Open("ul").Attr("id", "wrong")
		for _, c := range h.Wrong {
			h.wrong(c)
		}
		h.Close()
	}
	h.Close().Text("\n")
}

func (h *sheet) wrong(c condition.Condition) {
	h.Text("\n").Open("li").Class(string(c.Severity)).Open("b").Text(c.Subject).Close()
	if cause := causes[c.Code]; h.l == German && cause != "" {
		h.Text(" ").Open("span").Text(cause).Close()
		h.Text(" ").Open("span").Class("soft").Attr("lang", "en").Text(c.Text).Close()
	} else {
		h.Text(" ").Open("span").Attr("lang", "en").Text(c.Text).Close()
	}
	h.Text(" ").Open("small").Text(h.l.say("for %s", h.l.span(h.Now.Sub(c.Since))))
	h.Close().Close()
}

// footer writes what somebody needs who reports a fault, and the ways to more.
func (h *sheet) footer() {
	h.Open("footer").Text("\n")
	h.Open("p").Text(h.l.say("version") + " " + h.Version + " · " + h.l.say("run") + " " + h.Run + " · " +
		h.l.say("configuration") + " " + h.Config[:min(len(h.Config), 12)])
	if !h.Trial.IsZero() {
		h.Text(" (" + h.l.say("on trial") + ")")
	}
	h.Text(" · " + h.l.say("up for %s", h.l.span(h.Now.Sub(h.Started)))).Close().Text("\n")
	h.Open("p").Open("a").To("href", h.Ask.Up, "status").Text("/status").Close()
	h.Text(" ").Open("a").To("href", h.Ask.Up, "metrics").Text("/metrics").Close()
	h.Text(" ").Open("a").To("href", h.Ask.Up, "healthz").Text("/healthz").Close()
	h.Text(" · " + h.l.say("This page only shows. To change something, use") + " ")
	h.Open("code").Text("fieldbridge").Close().Text(" " + h.l.say("on the gateway.")).Close()
	if h.Ask.User != "" {
		h.Text("\n").Open("form").Attr("method", "post").To("action", h.Ask.Up, "login")
		h.Empty("input").Attr("type", "hidden").Attr("name", "leave").Attr("value", "1")
		h.Text(h.Ask.User + " ").Open("button").Text(h.l.say("Log out")).Close().Close()
	}
	h.Text("\n").Close()
}

// Login returns the page that asks who is there; wrong says that the last answer was.
func Login(ask Ask, wrong bool) []byte {
	h := sheet{l: ask.Language}
	h.head(ask.Up, h.l.say("Log in"))
	h.Close().Text("\n").Open("body").Open("main").Attr("id", "login").Text("\n")
	h.Open("header").Open("p").Class("name").Text("Fieldbridge").Close()
	h.Open("h1").Text(h.l.say("Log in")).Close().Close().Text("\n")
	h.Open("form").Attr("method", "post").To("action", ask.Up, "login")
	if wrong {
		h.Open("p").Class("bad").Attr("role", "alert")
		h.Text(h.l.say("User or password is wrong. Each wrong answer makes the next one wait longer.")).Close()
	}
	h.Text("\n").Open("p").Open("label").Text(h.l.say("User")+" ").Empty("input").Attr("name", "user")
	h.Attr("autocomplete", "username").Flag("required").Flag("autofocus").Close().Close()
	h.Text("\n").Open("p").Open("label").Text(h.l.say("Password")+" ").Empty("input").Attr("name", "password")
	h.Attr("type", "password").Attr("autocomplete", "current-password").Flag("required").Close().Close()
	h.Text("\n").Open("p")
	if ask.Device != "" {
		h.Empty("input").Attr("type", "hidden").Attr("name", "device").Attr("value", ask.Device)
	}
	h.Open("button").Text(h.l.say("Log in")).Close().Close()
	h.Close().Close().Close().Close()
	return h.Bytes()
}
