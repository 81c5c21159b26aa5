package block

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestWorkedExample holds format.md to what the encoder does.
func TestWorkedExample(t *testing.T) {
	doc, err := os.ReadFile("../format.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := hex.Dump(workedExample(t)); !strings.Contains(string(doc), want) {
		t.Errorf("format.md does not have the worked example as it is written now:\n%s", want)
	}
}
