//go:build hang

package pulse

import (
	"os"
	"strings"
)

// hurry makes limits so much shorter: who hangs is to be seen soon.
const hurry = 10

// hang stops for good whoever is named in the file that $FIELDBRIDGE_HANG names, at its
// next sign of life: with it the watchdog is tried on a gateway that really runs.
func hang(name string) {
	text, err := os.ReadFile(os.Getenv("FIELDBRIDGE_HANG"))
	if err == nil && strings.TrimSpace(string(text)) == name {
		select {}
	}
}
