package control

import (
	"fmt"
	"slices"
	"strings"

	"fieldbridge/condition"
)

// mostSentence bounds a sentence, in characters: a service manager shows it in a line.
const mostSentence = 300

// Sentence says in one sentence how the gateway is: its devices, its uplink, and what is
// worst.
func (s *Status) Sentence() string {
	answer := 0
	for i := range s.Devices {
		if s.Devices[i].Good > 0 {
			answer++
		}
	}
	var b strings.Builder
	switch n := len(s.Devices); n {
	case 0:
		b.WriteString("no devices yet")
	case 1:
		has := "has"
		if answer == 0 {
			has = "has no"
		}
		fmt.Fprintf(&b, "the device %s good readings", has)
	case answer:
		fmt.Fprintf(&b, "all of %d devices have good readings", n)
	default:
		fmt.Fprintf(&b, "%d of %d devices have good readings", answer, n)
	}
	if s.Link.Connected {
		b.WriteString(", connected to the cloud")
	} else {
		b.WriteString(", not connected to the cloud, ")
		if n := s.Queue.Ledger.Waiting.Readings; n == 1 {
			b.WriteString("1 reading waits")
		} else {
			fmt.Fprintf(&b, "%d readings wait", n)
		}
	}
	if len(s.Conditions) == 0 {
		b.WriteString("; all is well")
		return b.String()
	}
	worst := slices.MinFunc(s.Conditions, condition.Compare)
	fmt.Fprintf(&b, "; %s: %s", worst.Severity, worst)
	text := []rune(b.String())
	if len(text) > mostSentence {
		text = append(text[:mostSentence-1], '…')
	}
	if more := len(s.Conditions) - 1; more > 0 {
		return fmt.Sprintf("%s (and %d more)", string(text), more)
	}
	return string(text)
}
