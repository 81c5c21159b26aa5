package page

// alone writes the page of one device.
func (h *sheet) alone() {
	h.Open("p").Open("a").To("href", h.Ask.Up, "").Text(h.l.say("← all devices")).Close().Close().Text("\n")
	h.section("devices", h.Ask.Device)
	for i := range h.Shown {
		d := &h.Shown[i]
		h.Open("p").Class("soft").Text(d.Via + " · " + h.l.say("%d good", d.Good))
		if d.Bad > 0 {
			h.Text(", ")
			h.mark("bad", h.l.say("%d bad", d.Bad))
		}
		h.Text(" · " + h.lastGood(d)).Close().Text("\n")
		h.detail(d)
		h.article(d, d.Level+" alone")
		h.points(d)
		h.Close().Text("\n")
	}
	if len(h.Shown) == 0 {
		h.para("", h.l.say("The gateway has no device of this name."))
	}
	h.Close().Text("\n")
}

func (h *sheet) article(d *shown, class string) {
	h.Open("article").Attr("id", "device-"+d.Device.Device).Class(class).Text("\n")
}

func (h *sheet) lastGood(d *shown) string {
	if d.Last.IsZero() {
		return h.l.say("not read well since the start")
	}
	return h.l.say("last good reading %s ago", h.l.span(h.Now.Sub(d.Last)))
}

// device writes a device among others: with rows of points, or in one line.
func (h *sheet) device(d *shown) {
	class := d.Level
	if !d.Open {
		class += " line"
	}
	h.article(d, class)
	h.Open("h3").Open("a").To("href", 0, "device/", d.Device.Device).Text(d.Device.Device).Close()
	if d.Original != "" {
		h.Text(" ")
		h.mark("soft", d.Original)
	}
	h.Close().Text("\n")
	if d.Open {
		text := d.Via
		if d.Bad > 0 || d.Idle() {
			text += " · " + h.lastGood(d)
		}
		h.para("soft", text)
		h.points(d)
	} else {
		h.glance(d)
	}
	h.detail(d)
	h.Close().Text("\n")
}

// detail writes what is known of a device: why it is bad, or what was learnt of it.
func (h *sheet) detail(d *shown) {
	if d.Bad == 0 && d.Detail != "" {
		h.Open("p").Class("why soft").Attr("lang", "en").Text(d.Detail).Close()
		return
	}
	h.why(d.Detail)
}

// glance writes the first points of a device in one line.
func (h *sheet) glance(d *shown) {
	h.Open("p").Class("grow")
	for i := range d.Rows {
		if i > 0 {
			h.Text(" · ")
		}
		h.mark("soft", d.Rows[i].Name)
		h.Text(" ")
		h.value(&d.Rows[i])
	}
	if d.Extra > 0 {
		h.Text(" ")
		h.mark("soft", h.l.say("and %d more", d.Extra))
	}
	h.Close().Text("\n").Open("p").Class("soft")
	if d.Bad > 0 {
		h.mark("bad", h.l.say("%d bad", d.Bad))
		h.Text(" ")
	}
	if d.Last.IsZero() {
		h.Text(h.l.say("not since the start"))
	} else {
		h.Text(h.ago(d.Last))
	}
	h.Close()
}

// points writes the points of a device as rows.
func (h *sheet) points(d *shown) {
	h.Open("table").Open("colgroup").Empty("col").Empty("col").Empty("col").Empty("col").Close()
	h.Open("thead").Class("unseen").Open("tr")
	for _, title := range []string{h.l.say("point"), h.l.say("value"), h.l.say("course"), h.l.say("age")} {
		h.Open("th").Attr("scope", "col").Text(title).Close()
	}
	h.Close().Close().Open("tbody")
	for i := range d.Rows {
		h.row(&d.Rows[i])
	}
	h.Close().Close()
}

func (h *sheet) row(r *row) {
	h.Text("\n").Open("tr")
	if r.Bad != "" {
		h.Class("isbad")
	}
	h.Open("th").Attr("scope", "row").Text(r.Name).Close().Open("td").Class("value")
	h.value(r)
	if r.Bad != "" {
		h.Text(" ")
		h.mark("bad", r.Bad)
	}
	if h.Ask.Device != "" && r.Raw != "" {
		h.Text(" ").Open("code").Class("soft").Text(r.Raw).Close()
	}
	h.Close().Text("\n").Open("td").Class("spark")
	if s := r.Spark; s.Path != "" {
		text := h.l.say("last %s: %s to %s", h.l.span(h.Course), s.Low, s.High)
		h.Open("svg").Attr("viewBox", "0 0 120 24").Attr("preserveAspectRatio", "none").Attr("role", "img")
		h.Attr("aria-label", text).Open("title").Text(text).Close()
		h.Open("path").Attr("d", s.Path)
		if s.Band {
			h.Class("band")
		}
		h.Close().Close()
	}
	h.Close().Text("\n").Open("td").Class("age soft").Text(h.age(r)).Close().Close()
}

// age is that of the newest good reading.
func (h *sheet) age(r *row) string {
	switch {
	case r.Bad != "" && r.LastGoodAt.IsZero():
		return h.l.say("never good")
	case r.Bad != "":
		return h.l.span(h.Now.Sub(r.LastGoodAt))
	case r.At.IsZero():
		return "–"
	}
	return h.l.span(h.Now.Sub(r.At))
}

// value writes what a point is, greyed where that is the last good value.
func (h *sheet) value(r *row) {
	switch {
	case r.Full != "":
		unit := ""
		if r.Unit != "" {
			unit = " " + r.Unit
		}
		h.Open("data")
		if r.Bad != "" {
			h.Class("old")
		}
		h.Attr("value", r.Full).Attr("title", r.Full+unit).Text(r.Short)
		if unit != "" {
			h.Text(" ").Open("small").Text(r.Unit).Close()
		}
		h.Close()
	case r.Bad == "":
		h.mark("soft", h.l.say("not read yet"))
	}
}
