package tell

import (
	"fmt"
	"io"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
)

// ways says how an identity came.
var ways = map[string]string{
	"claim":    "by a claim",
	"trusted":  "by a claim that a person had made",
	"rotation": "by the one before it",
	"own ca":   "from an authority of your own",
	"files":    "files of the configuration",
	"none":     "none yet",
}

// Way says how an identity came, for people.
func Way(i *bridge.IdentityStatus) string {
	if text := ways[i.Way]; text != "" {
		return text
	}
	return i.Way
}

// Key says where a key lives, and what that means.
func Key(i *bridge.IdentityStatus) string {
	switch {
	case i.Key == "":
		return ""
	case i.Copyable:
		return i.Key + ", who reads it has a copy"
	case i.Weakness != "":
		return i.Key + ": " + i.Weakness
	}
	return i.Key + ", it cannot be copied"
}

// Identity tells how the gateway came by its certificate, and what becomes of it.
func Identity(w io.Writer, i *bridge.IdentityStatus, now time.Time) {
	fmt.Fprintf(w, "identity %s", Way(i))
	switch {
	case i.Trial:
		fmt.Fprint(w, ", on trial until the cloud has acknowledged a message with it")
	case !i.Since.IsZero():
		fmt.Fprintf(w, ", for %s", words.Ago(now.Sub(i.Since)))
	}
	fmt.Fprintln(w)
	if key := Key(i); key != "" {
		fmt.Fprintf(w, "         key %s\n", key)
	}
	switch {
	case i.Rotates.After(now):
		fmt.Fprintf(w, "         a new one is made on %s\n", i.Rotates.UTC().Format(time.DateOnly))
	case !i.Rotates.IsZero():
		fmt.Fprintln(w, "         a new one is due")
	}
	if i.Failed != "" {
		fmt.Fprintf(w, "         the last new one was given up: %s\n", i.Failed)
	}
	if len(i.Unused) > 0 {
		fmt.Fprintf(w, "         not used: %s\n", strings.Join(i.Unused, ", "))
	}
}
