//go:build linux

package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldbridge/minisign"
)

// jobsMemory is how much more memory a gateway may take that listens for jobs and keeps
// releases, in KiB.
const jobsMemory = 1024

// TestMemoryOfJobsSoak measures gateways at rest that take every job, beside those that
// take none, and, if FIELDBRIDGE_PREVIOUS names a program, beside that one.
func TestMemoryOfJobsSoak(t *testing.T) {
	if os.Getenv("FIELDBRIDGE_SOAK") == "" {
		t.Skip("takes minutes: FIELDBRIDGE_SOAK=1")
	}
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{"without", "with"}
	previous := os.Getenv("FIELDBRIDGE_PREVIOUS")
	if previous != "" {
		kinds = append(kinds, "previous")
	}
	const each = 4
	gateways := map[string][]*rig{}
	for range each { // in turn, so that what changes on the machine changes all
		for _, kind := range kinds {
			r := newRig(t, filepath.Join(t.TempDir(), "queue"), 1)
			if kind == "previous" {
				r.program = previous
			}
			if kind == "with" {
				r.replace("    topic:", "    jobs: [config, update, rotate, restart, diagnose]\n    topic:")
				r.replace("southbound:", fmt.Sprintf("updates: {keys: [%q]}\nsouthbound:", key.Public()))
				r.start("env", "STATE_DIRECTORY="+t.TempDir())
			} else {
				r.start()
			}
			gateways[kind] = append(gateways[kind], r)
		}
	}
	pss, anon := map[string][]int{}, map[string][]int{}
	time.Sleep(time.Minute) // what a start takes is given back
	for range 20 {
		time.Sleep(2 * time.Second)
		for kind, all := range gateways {
			for _, r := range all {
				p, a := r.resting()
				pss[kind], anon[kind] = append(pss[kind], p), append(anon[kind], a)
			}
		}
	}
	median := func(of []int) int { slices.Sort(of); return of[len(of)/2] }
	for _, kind := range kinds {
		t.Logf("%-8s %d KiB anonymous (%d to %d), %d KiB Pss", kind, median(anon[kind]), anon[kind][0],
			anon[kind][len(anon[kind])-1], median(pss[kind]))
	}
	if more := median(anon["with"]) - median(anon["without"]); more > jobsMemory {
		t.Errorf("jobs take %d KiB more", more)
	}
}

// replace changes the configuration.
func (r *rig) replace(old, now string) {
	r.t.Helper()
	text, err := os.ReadFile(r.file())
	if err == nil {
		err = os.WriteFile(r.file(), []byte(strings.Replace(string(text), old, now, 1)), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// resting returns what the gateway has in memory now, in KiB (proc_pid_smaps(5)): its part of
// all, and what is of no file.
func (r *rig) resting() (pss, anonymous int) {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", r.process.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "Pss:":
			pss = n
		case "Anonymous:":
			anonymous = n
		}
	}
	return pss, anonymous
}
