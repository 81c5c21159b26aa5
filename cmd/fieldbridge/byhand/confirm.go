package byhand

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fieldbridge/cmd/fieldbridge/words"
)

// confirm asks whether what is at a place shall become a value, and tells what it is
// now as read finds it. It returns nil if so, or if nobody is to be asked.
func confirm(d *Desk, place, value string, read func() (string, error)) error {
	if d.Ask == nil {
		return nil
	}
	if !words.Asks(d.Ask) {
		return errNobody
	}
	is := "what it is cannot be read"
	if text, err := read(); err == nil {
		is = "it is " + text + " now"
	}
	return agreed(d, fmt.Sprintf("%s: %s. Write %s?", place, is, value))
}

// errNobody is told in place of a question that nobody would answer.
var errNobody = misuse(errors.New("nobody can be asked here: --yes writes without asking"))

// agreed puts a question and returns nil if it is answered by yes.
func agreed(d *Desk, question string) error {
	fmt.Fprintf(d.People, "%s [y/N] ", question)
	answer := bufio.NewScanner(d.Ask)
	if answer.Scan(); !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer.Text()))) {
		return errors.New("nothing was written")
	}
	return nil
}

// mayWrite reports whether a request may change something in a device (Modbus
// Application Protocol V1.1b3, section 6): one of a maker's own may. Of the
// encapsulated ones only the identification (43/14) does not.
func mayWrite(pdu []byte) bool {
	switch {
	case len(pdu) == 0:
		return false
	case pdu[0] == 43:
		return len(pdu) < 2 || pdu[1] != 14
	}
	return !slices.Contains([]byte{1, 2, 3, 4, 7, 11, 12, 17, 20, 24}, pdu[0])
}
