package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"fieldbridge/needtest"
)

// TestDemoSoak shows all of the demo with three gateways; without FIELDBRIDGE_SOAK up to
// where it would take its time.
func TestDemoSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	t.Parallel() // it mostly waits for other processes
	needtest.Program(t, "git")
	o := options{gateways: 3, brief: os.Getenv("FIELDBRIDGE_SOAK") == ""}
	var out bytes.Buffer
	err := run(t.Context(), o, &out)
	t.Logf("%s", out.String())
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "3 gateways; 3 ran 1.0.0") ||
		!strings.HasSuffix(last, "now (3)") {
		t.Errorf("the last line is %q", last)
	}
}

// TestDemoNotices: what is not as it must be makes the demo fail.
func TestDemoNotices(t *testing.T) {
	d := &demo{w: t.Output()}
	d.mustBe(true, "well")
	d.mustBe(false, "not well")
	if len(d.wrong) != 1 {
		t.Errorf("%q", d.wrong)
	}
}
