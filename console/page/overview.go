package page

import (
	"math"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/console/diary"
)

// overview writes the gateway with all devices.
func (h *sheet) overview() {
	if len(h.Shown) > 12 { // they fill more than a screen
		h.ways()
	}
	h.Open("div").Attr("id", "facts").Text("\n")
	h.program()
	h.link()
	h.queue()
	h.identity()
	h.Close().Text("\n")
	h.jobs()
	if len(h.Buses) > 0 {
		h.list("buses", h.l.say("Buses"))
		for _, b := range h.Buses {
			h.bus(b)
		}
		h.Close().Close().Text("\n")
	}
	h.devices()
	h.unmatched()
	h.refused()
	h.lately()
}

// ways writes where what comes after many devices is.
func (h *sheet) ways() {
	h.Open("nav")
	if len(h.Buses) > 0 {
		h.Open("a").To("href", 0, "#buses").Text(h.l.say("Buses")).Close().Text(" ")
	}
	h.Open("a").To("href", 0, "#devices").Text(h.l.say("Devices")).Close()
	if len(h.Unmatched) > 0 {
		h.Text(" ").Open("a").To("href", 0, "#unmatched").Text(h.l.say("Topics that no rule takes")).Close()
	}
	if len(h.Refused) > 0 {
		h.Text(" ").Open("a").To("href", 0, "#refused").Text(h.l.say("Clients that were not let in")).Close()
	}
	h.Text(" ").Open("a").To("href", 0, "#lately").Text(h.l.say("Lately")).Close()
	h.Close().Text("\n")
}

// section begins a section with its title.
func (h *sheet) section(id, title string) {
	h.Open("section").Attr("id", id).Open("h2").Text(title).Close().Text("\n")
}

// list begins a section that is a list.
func (h *sheet) list(id, title string) {
	h.section(id, title)
	h.Open("ul").Class("lines")
}

// program writes the release on trial.
func (h *sheet) program() {
	p := h.Program
	if p == nil {
		return
	}
	h.section("program", h.l.say("Program"))
	h.para("big", h.l.say("on trial for %s", h.l.span(h.Now.Sub(p.Since))))
	h.para("", h.l.say("version")+" "+h.Version+", "+h.l.count(p.Attempts, "started %s time", "started %s times"))
	switch {
	case p.Until.IsZero():
		h.para("soft", h.l.say("it is not ready yet"))
	case len(p.Missing) == 0:
		h.para("good", h.l.say("all is as before"))
	case p.Kept:
		h.para("", h.l.say("kept in %s, as the link was down before, too:", h.l.span(p.Until.Sub(h.Now))))
	default:
		h.para("bad", h.l.say("given up in %s if this stays so:", h.l.span(p.Until.Sub(h.Now))))
	}
	h.why(strings.Join(p.Missing, "; "))
	h.Close().Text("\n")
}

func (h *sheet) link() {
	h.section("link", h.l.say("Cloud"))
	text := h.l.say("for %s", h.l.span(h.Now.Sub(h.Link.Since)))
	if h.Link.Connected {
		h.para("big good", h.l.say("connected"))
	} else {
		h.para("big bad", h.l.say("not connected"))
		if h.Link.Retry.After(h.Now) {
			text += " · " + h.l.say("next try in %s", h.l.span(h.Link.Retry.Sub(h.Now)))
		}
	}
	h.para("", text)
	h.para("soft", h.Link.Endpoint)
	h.Close().Text("\n")
}

func (h *sheet) queue() {
	l, ledger := h.l, &h.Queue.Ledger
	h.section("queue", l.say("Queue"))
	h.para("big", l.count(int(ledger.Waiting.Readings), "%s reading waits", "%s readings wait"))
	h.para("", h.Room)
	h.para("soft", size(h.Queue.Bytes)+" "+l.say("of")+" "+size(h.Queue.MaxSize))
	if n := ledger.Thinned.Readings; n > 0 {
		h.para("soft", l.count(int(n), "aggregates have taken the place of %s reading",
			"aggregates have taken the place of %s readings"))
	}
	for _, loss := range []struct {
		n    uint64
		text string
	}{
		{ledger.Dropped.Readings,
			l.count(int(ledger.Dropped.Readings), "%s reading was dropped", "%s readings were dropped")},
		{ledger.Dead.Readings, l.count(int(ledger.Dead.Readings), "%s reading was refused by the cloud",
			"%s readings were refused by the cloud")},
		{ledger.Damaged.Readings, l.count(int(ledger.Damaged.Readings), "%s reading could not be read back",
			"%s readings could not be read back")},
	} {
		if loss.n > 0 {
			h.para("bad", loss.text)
		}
	}
	h.Close().Text("\n")
}

func (h *sheet) identity() {
	l, own := h.l, h.Link.Own
	h.section("identity", l.say("Identity"))
	switch {
	case own == nil:
		h.para("big", l.say("no certificate used yet"))
	case h.Expires <= 0:
		h.para("big bad", l.say("expired"))
	case h.Expires < soon:
		h.para("big bad", l.say("valid for %s", l.span(h.Expires)))
	default:
		h.para("big", l.say("valid for %s", l.span(h.Expires)))
	}
	if own != nil {
		h.para("", own.Subject)
		h.para("soft", l.say("certificate until %s", own.Expires.Format("2006-01-02")))
	}
	if i := h.Link.Identity; i != nil {
		h.key(i)
	}
	h.Close().Text("\n")
}

// key writes how the certificate came, where its key lives, and when both are renewed.
func (h *sheet) key(i *bridge.IdentityStatus) {
	l := h.l
	ways := map[string]string{"claim": l.say("it came by a claim"), "trusted": l.say("it came by a claim"),
		"rotation": l.say("the gateway has renewed it"), "own ca": l.say("from an authority of your own"),
		"files": l.say("files of the configuration")}
	if text := ways[i.Way]; text != "" {
		h.para("soft", text)
	}
	switch {
	case i.Trial:
		h.para("soft", l.say("on trial until the cloud acknowledges a message"))
	case !i.Rotates.IsZero():
		h.para("soft", l.say("a new one is made on %s", i.Rotates.Format("2006-01-02")))
	}
	switch {
	case i.Key == "":
	case i.Copyable:
		h.para("soft", l.say("its key can be copied"))
	default:
		h.para("soft", l.say("its key never leaves its chip"))
	}
}

// jobs writes what the cloud has this gateway do, and how the last of it ended.
func (h *sheet) jobs() {
	if h.Job == nil && h.LastJob == nil {
		return
	}
	h.list("jobs", h.l.say("Jobs"))
	if j := h.Job; j != nil {
		h.job(j)
		switch {
		case j.Owed:
			h.mark("grow", h.l.say("it is done, the cloud does not know it yet"))
		case j.Percent > 0:
			h.mark("grow", h.l.say("step %s, %s %%", j.Step, strconv.Itoa(j.Percent)))
		case j.Step != "":
			h.mark("grow", h.l.say("step %s", j.Step))
		default:
			h.mark("grow", h.l.say("it begins"))
		}
		h.Text(" ")
		h.mark("soft", h.l.say("for %s", h.l.span(h.Now.Sub(j.At))))
		h.Close()
	}
	if j := h.LastJob; j != nil {
		h.job(j)
		switch {
		case j.Status == "SUCCEEDED":
			h.mark("good grow", h.l.say("has succeeded"))
		case j.RolledBack:
			h.mark("bad grow", h.l.say("has failed, what ran before runs again"))
		case j.Status == "REJECTED":
			h.mark("bad grow", h.l.say("was rejected"))
		default:
			h.mark("bad grow", h.l.say("has failed"))
		}
		h.Text(" ")
		h.mark("soft", h.ago(j.At))
		if j.Why != "" {
			h.Text(" ").Open("span").Class("why").Attr("lang", "en").Text(j.Why).Close()
		}
		h.Close()
	}
	h.Close().Close().Text("\n")
}

// job begins the line of a job.
func (h *sheet) job(j *Job) {
	h.Text("\n").Open("li").Open("b").Text(j.ID).Close().Text(" ")
	h.mark("soft", j.Operation)
	h.Text(" ")
}

func (h *sheet) bus(b bridge.BusStatus) {
	h.Text("\n").Open("li").Open("b").Text(b.Bus).Close().Text(" ")
	h.mark("soft grow", b.Address)
	h.Text(" ")
	switch {
	case !b.Down.IsZero():
		h.mark("bad", h.l.say("down"))
	case !b.Silent.IsZero():
		h.mark("bad", h.l.say("nobody answers"))
	default:
		percent := strconv.Itoa(int(math.Round(100 * b.Load)))
		h.Open("span").Open("meter").Attr("max", "1").Attr("high", "0.8")
		h.Attr("value", strconv.FormatFloat(b.Load, 'g', 4, 64)).Text(percent + " %").Close()
		h.Text(" " + h.l.say("%s %% busy", percent)).Close()
	}
	if b.Late > 0 {
		h.Text(" ")
		h.mark("soft", h.l.count(int(b.Late), "%s late cycle", "%s late cycles"))
	}
	if b.Detail != "" {
		h.Text(" ").Open("span").Class("why bad").Attr("lang", "en").Text(b.Detail).Close()
	}
	h.Close()
}

// devices writes the filter and the devices that it leaves.
func (h *sheet) devices() {
	l, hint := h.l, h.l.say("find a device, a bus, a reason")
	h.section("devices", l.say("Devices"))
	h.Open("form").Attr("id", "filter").Attr("role", "search")
	h.Empty("input").Attr("id", "find").Attr("name", "find").Attr("type", "search").Attr("value", h.Ask.Find)
	h.Attr("placeholder", hint).Attr("aria-label", hint).Attr("autocomplete", "off")
	h.Open("noscript").Open("button").Text(l.say("Find")).Close().Close().Text("\n")
	h.Open("span").Attr("id", "found").Class("soft")
	if h.Ask.Find != "" {
		h.Text(l.say("%d of %d", len(h.Shown)+h.Left, len(h.Devices)))
	}
	h.Close().Close().Text("\n")
	for i := range h.Shown {
		h.device(&h.Shown[i])
	}
	if h.Left > 0 {
		h.para("soft", l.say("%d more: the filter finds them", h.Left))
	}
	if h.Ask.Find != "" && len(h.Shown) == 0 {
		h.para("soft", l.say("no device has these words"))
	}
	h.Close().Text("\n")
}

func (h *sheet) unmatched() {
	if len(h.Unmatched) == 0 {
		return
	}
	h.list("unmatched", h.l.say("Topics that no rule takes"))
	for _, t := range h.Unmatched {
		h.Text("\n").Open("li").Open("b").Text(t.Topic).Close()
		h.Text(" ").Open("code").Class("grow").Text(t.Payload).Close().Text(" ")
		h.mark("soft", h.l.count(int(t.Messages), "%s message", "%s messages")+", "+h.ago(t.Last))
		h.Close()
	}
	h.Close().Close().Text("\n")
}

func (h *sheet) refused() {
	if len(h.Refused) == 0 {
		return
	}
	h.list("refused", h.l.say("Clients that were not let in"))
	for _, c := range h.Refused {
		h.Text("\n").Open("li").Open("b").Text(c.ID).Close()
		h.Text(" ").Open("span").Class("grow").Attr("lang", "en").Text(c.Why).Close().Text(" ")
		h.mark("soft", c.Address+", "+h.l.count(int(c.Times), "once", "%s times")+", "+h.ago(c.Last))
		h.Close()
	}
	h.Close().Close().Text("\n")
}

// lately writes what came and went.
func (h *sheet) lately() {
	if len(h.Events) == 0 {
		return
	}
	h.list("lately", h.l.say("Lately"))
	for _, e := range h.Events {
		at := e.At.UTC()
		h.Text("\n").Open("li").Class(string(e.Kind) + " " + string(e.Severity))
		h.Open("time").Class("soft").Attr("datetime", at.Format("2006-01-02T15:04:05Z"))
		h.Attr("title", at.Format("2006-01-02 15:04:05")+" UTC").Text(h.ago(e.At)).Close()
		h.Text(" ").Open("span").Class("grow")
		switch e.Kind {
		case diary.Started:
			h.Text(h.l.say("the gateway was started, version %s", e.Text)).Close()
		case diary.Ends:
			h.event("good", h.l.say("over"), e)
			h.Text(" ")
			h.mark("soft", h.l.say("after %s", h.l.span(e.For)))
		default:
			h.event("bad", h.l.say("begins"), e)
		}
		h.Close()
	}
	h.Close().Close().Text("\n")
}

// event writes what came or went, and ends what it stands in.
func (h *sheet) event(class, word string, e diary.Event) {
	h.Open("b").Class(class).Text(word).Close()
	h.Text(" ").Open("b").Text(e.Subject).Close()
	h.Text(" ").Open("span").Attr("lang", "en").Text(e.Text).Close().Close()
}
