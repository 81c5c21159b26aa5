package tell

import (
	"fmt"
	"io"
	"time"

	"fieldbridge/gateway/control"
)

// Releases tells which program runs and what became of the others.
func Releases(w io.Writer, r control.Releases) {
	if r.Running == "" {
		fmt.Fprintf(w, "the packaged program runs, %s\n", r.Packaged)
	} else {
		fmt.Fprintf(w, "release %s runs, in place of the packaged program, %s\n", r.Running, r.Packaged)
	}
	switch {
	case r.Proving != nil:
		fmt.Fprintln(w, r.Proving.Sentence(time.Now()))
	case r.Trial != nil:
		fmt.Fprintf(w, "on trial: %s, since %s, started %d times\n", r.Trial.Version,
			r.Trial.Begun.Format("2006-01-02 15:04 MST"), r.Trial.Attempts)
	}
	if r.Previous != "" {
		fmt.Fprintf(w, "before it ran %s\n", r.Previous)
	}
	if r.Floor != "" {
		fmt.Fprintf(w, "none older than %s may run\n", r.Floor)
	}
	for _, b := range r.Bad {
		fmt.Fprintf(w, "failed and not tried again: %s: %s\n", b.Version, b.Why)
	}
}
