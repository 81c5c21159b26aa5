package trouble

import (
	"fmt"
	"net"
	"strings"
	"unicode/utf8"
)

// String is the client for people: its id, user and address.
func (c Client) String() string {
	var b strings.Builder
	if c.ID != "" {
		fmt.Fprintf(&b, "%q ", c.ID)
	}
	if c.User != "" {
		fmt.Fprintf(&b, "of user %q ", c.User)
	}
	b.WriteString("at " + c.Remote)
	return b.String()
}

// shown is how much is shown of what a client calls itself, in bytes.
const shown = 64

// Short cuts what a client calls itself to what is shown of it.
func Short(s string) string {
	if len(s) <= shown {
		return strings.Clone(s)
	}
	cut := shown
	for cut > shown-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.Clone(s[:cut]) + "…"
}

// Host returns the address of a client without its port.
func Host(remote string) string {
	h, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return h
}
