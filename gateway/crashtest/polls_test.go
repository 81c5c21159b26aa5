//go:build linux

package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// died waits for a gateway that something else ends, and takes note.
func (r *rig) died(within time.Duration) {
	r.t.Helper()
	p := r.process
	r.process = nil
	select {
	case <-p.ended:
	case <-time.After(within):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
	r.oven.died()
	r.total.deaths++
}

// polling waits until so many polls more have been answered, or the gateway is dead.
func (r *rig) polling(more int) {
	r.t.Helper()
	from := r.oven.answered()
	r.eventually("devices are polled", 30*time.Second, func() bool {
		select {
		case <-r.process.ended:
			return true
		default:
			return r.oven.answered() >= from+more
		}
	})
}

// deaths are the ways in which a gateway dies that is polling.
var deaths = []struct {
	name string
	die  func(t *testing.T, r *rig)
}{
	{"kill", func(_ *testing.T, r *rig) { r.kill(); r.total.deaths++ }},
	{"kills in a row, the later ones while it restores", func(_ *testing.T, r *rig) {
		r.kill()
		for range 1 + r.rnd.IntN(3) {
			r.start()
			time.Sleep(time.Duration(r.rnd.IntN(60)) * time.Millisecond) // the instant of death
			r.kill()
			r.total.deaths++
		}
		r.total.deaths++
	}},
	// To die of an error of its own, as by a panic: Go's runtime prints all goroutines.
	{"abort", func(_ *testing.T, r *rig) {
		_ = r.process.cmd.Process.Signal([]os.Signal{syscall.SIGABRT, syscall.SIGQUIT}[r.rnd.IntN(2)])
		r.died(10 * time.Second)
	}},
	{"kill at a system call", func(t *testing.T, r *rig) {
		r.kill()
		r.total.deaths++
		strace, err := exec.LookPath("strace")
		if err != nil {
			missing(t, "strace is missing (.ci/packages)")
		}
		calls := []string{"pwrite64", "fdatasync", "fsync", "rename,renameat", "fallocate", "ftruncate", "unlinkat", "openat"}
		call := calls[r.rnd.IntN(len(calls))]
		r.start(strace, "-f", "-o", "/dev/null", "-e", "trace="+call, "-e",
			fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, 1+r.rnd.IntN(40)))
		r.died(time.Duration(300+r.rnd.IntN(1500)) * time.Millisecond)
	}},
	{"out of memory", func(t *testing.T, r *rig) {
		r.kill()
		r.total.deaths++
		dir, peak := group(t, 64<<20)
		enter := "echo $$ > " + dir + "/cgroup.procs && "
		needed := 0
		for range 2 { // the second start is in the same group, with the journal charged to it
			r.start("sh", "-c", enter+`echo 1000 > /proc/self/oom_score_adj && exec "$@"`, "sh")
			r.awaitStart()
			r.polling(2 + r.rnd.IntN(5))
			used := number(t, peak)
			if needed != 0 && used > needed+2<<20 {
				t.Errorf("the start after an OOM kill needs %d KiB of its group, the one before %d", used>>10, needed>>10)
			}
			needed = used
			hog := exec.Command("sh", "-c", enter+"head -c 60M /dev/zero | tail -c 60M") // whom the kernel spares
			if err := hog.Start(); err != nil {
				t.Fatal(err)
			}
			p := r.process
			r.died(20 * time.Second)
			_ = hog.Wait()
			if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || oomKills(t, dir) == 0 {
				t.Errorf("the gateway was not killed for want of memory: %v", p.cmd.ProcessState)
			}
			if err := os.WriteFile(peak, []byte("0"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}},
}

// number reads a file that holds one.
func number(t *testing.T, file string) (n int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		_, err = fmt.Sscan(string(text), &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// oomKills is how many processes of a group were killed for want of memory.
func oomKills(t *testing.T, group string) (n int) {
	t.Helper()
	for _, name := range []string{"memory.oom_control", "memory.events"} { // cgroup v1, v2
		text, err := os.ReadFile(filepath.Join(group, name))
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut("\n"+string(text), "\noom_kill ")
		if _, err := fmt.Sscan(rest, &n); !ok || err != nil {
			t.Fatalf("%s: %s", name, text)
		}
		return n
	}
	t.Fatal("the group does not tell of OOM kills")
	return 0
}

// TestKilledGatewayLosesNoPoll: nothing commits but the start, so what a gateway polled
// that dies is in its journal alone. Each poll that was answered arrives, but for the one
// that was under way, and none under two names.
func TestKilledGatewayLosesNoPoll(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel() // it mostly waits for other processes
			r := newRig(t, filepath.Join(t.TempDir(), "queue"), 0)
			r.runtime, _ = mountSmall(t, 12<<20)
			for want := soak(2); r.total.deaths < want && !t.Failed(); {
				r.exact, r.quiet = true, r.rnd.IntN(3) > 0
				r.configure()
				r.online(false)
				r.start()
				for range 1 + r.rnd.IntN(longestLife) {
					r.awaitStart()
					r.polling(1 + r.rnd.IntN(6))
					r.online(r.rnd.IntN(4) == 0)
					d.die(t, r)
					r.start()
					if t.Failed() || r.total.deaths >= want {
						break
					}
				}
				r.awaitStart()
				r.settle()
				if err := os.RemoveAll(r.queue); err != nil {
					t.Fatal(err)
				}
			}
			t.Log(&r.total)
		})
	}
}
