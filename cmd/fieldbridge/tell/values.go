package tell

import (
	"fmt"
	"io"
	"strings"

	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
)

// Values tells the newest readings of devices, with the device in front where there
// are several. A bad one is followed by the last good one. raw tells what stands in
// the registers of good ones, too.
func Values(w io.Writer, all []control.Values, raw bool) {
	t := words.NewColumns(w)
	for _, device := range all {
		lead := ""
		if len(all) > 1 {
			lead = device.Device + "\t"
		}
		if len(device.Points) == 0 {
			fmt.Fprintf(t, "%s-\tnothing since the start\n", lead)
		}
		for _, p := range device.Points {
			text, unit, last := p.Text, p.Unit, ""
			switch {
			case p.Bad == "":
			case p.LastGoodAt.IsZero():
				text, unit, last = paint.Bad(w, "bad: "+p.Bad), "", "\tnever good"
			default:
				text, unit = paint.Bad(w, "bad: "+p.Bad), ""
				last = fmt.Sprintf("\tlast good %s, %s ago", strings.TrimSpace(p.LastGood+" "+p.Unit),
					words.Ago(device.Now.Sub(p.LastGoodAt)))
			}
			fmt.Fprintf(t, "%s%s\t%s\t%s\t%s ago%s", lead, p.Point, text, unit, words.Ago(device.Now.Sub(p.At)), last)
			if p.Raw != "" && (raw || p.Bad != "") {
				fmt.Fprintf(t, "\t%s", p.Raw)
			}
			fmt.Fprintln(t)
		}
	}
	_ = t.Flush() // it writes where all else is written, too
}
