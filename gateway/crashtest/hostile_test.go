//go:build linux

package crashtest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// group makes a memory control group of so many bytes, and returns its folder and
// the name of the file that tells its peak.
func group(t *testing.T, bytes int64) (dir, peak string) {
	t.Helper()
	for _, v := range [][3]string{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.peak"},
	} {
		dir = filepath.Join(v[0], "fieldbridge-"+strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, v[1]), []byte(strconv.FormatInt(bytes, 10)), 0o644) == nil {
			return dir, filepath.Join(dir, v[2])
		}
	}
	missing(t, "no memory control group can be made here (it needs root)")
	return "", ""
}

// TestAttacksOnMemory: in a memory control group of 64 MiB the gateway outlives
// each attack of sensors, acknowledges the others' messages meanwhile, and names who did it.
// What large messages bring is more than twice what the group has.
func TestAttacksOnMemory(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	for _, a := range []struct {
		name, kind string
		do         func(h *hostile)
	}{
		{"800 retained of 200 KiB", "retained", func(h *hostile) {
			c := h.connect("attacker", 2)
			for i := range 800 {
				c.publish(1, fmt.Sprint("r/", i), 200<<10)
			}
		}},
		{"4 absent sessions, 256 KiB", "wait for its", func(h *hostile) {
			for i := range 4 {
				c := h.connect(fmt.Sprint("attacker-away", i), 0)
				c.subscribe("q/#", 1)
				_ = c.Close()
			}
			c := h.connect("attacker", 2)
			for range 600 {
				c.publish(2, "q/x", 250<<10)
			}
		}},
		{"2,500 topics of 60 KB", "1 KiB", func(h *hostile) {
			c := h.connect("attacker", 2)
			for i := range 2500 {
				c.publish(0, fmt.Sprint("t", i, strings.Repeat("x", 60000)), 1)
			}
		}},
		{"30,000 topics of 1,000 B", "topics", func(h *hostile) {
			c := h.connect("attacker", 2)
			for i := range 30000 {
				c.publish(0, fmt.Sprint("t", i, strings.Repeat("x", 1000)), 1)
			}
		}},
		{"6,000 silent connections", "log in", func(h *hostile) {
			for range 6000 {
				if c, err := net.Dial("tcp", h.addr); err == nil {
					h.keep(c)
				}
			}
		}},
		{"50 slow readers", "does not read", func(h *hostile) {
			for i := range 50 {
				c := h.connect(fmt.Sprint("attacker-deaf", i), 2)
				_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
				c.subscribe("big/#", 0)
			}
			c := h.connect("attacker", 2)
			for range 150 {
				c.publish(0, "big/x", 100<<10)
			}
		}},
		{"500 half-sent packets of 256 KiB", "finish", func(h *hostile) {
			for i := range 500 {
				c := h.connect(fmt.Sprint("attacker-half", i), 2)
				_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				_, _ = c.Write(append([]byte{0x30, 0xf0, 0xff, 0x0f}, make([]byte, 128<<10)...))
			}
		}},
	} {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel() // each in its own group
			dir, peak := group(t, 64<<20)
			r := newRig(t, filepath.Join(t.TempDir(), "queue"), 2)
			r.start("sh", "-c", "echo $$ > "+dir+`/cgroup.procs && exec "$@"`, "sh")
			r.eventually("the sensors are acknowledged", 20*time.Second, func() bool { return r.acknowledged() > 20 })
			h := &hostile{t: t, addr: r.broker}
			least := r.served()
			a.do(h)
			least("during the attack")
			before := r.acknowledged()
			named := ""
			r.eventually("who did it is named", 20*time.Second, func() bool { named = r.greedy(a.kind); return named != "" })
			r.eventually("sensors are acknowledged", 10*time.Second, func() bool { return r.acknowledged() > before+20 })
			least("with all that it holds")
			rss := status(t, r.process.cmd.Process.Pid, "VmHWM:")
			most, err := os.ReadFile(peak)
			if err != nil {
				most = []byte("?")
			}
			t.Logf("| %s | %d MiB resident, group %s | %s |", a.name, rss>>20, strings.TrimSpace(string(most)), named)
			h.close()
			r.kill()
		})
	}
}

// served notes how far the sensors are; what it returns checks that each of them has been
// acknowledged since, an eighth of what it wanted to send at least: it is slowed by a busy
// machine as much as the gateway is, and its window lets no more pass if that waits.
func (r *rig) served() (least func(when string)) {
	type progress struct{ turns, acked int }
	was := make([]progress, len(r.sensors))
	for i, s := range r.sensors {
		was[i].turns, was[i].acked = s.progress()
	}
	return func(when string) {
		r.t.Helper()
		for i, s := range r.sensors {
			turns, acked := s.progress()
			turns, acked = turns-was[i].turns, acked-was[i].acked
			r.t.Logf("%s: %s wanted to send %d messages, %d were acknowledged", when, s.name, turns, acked)
			if turns >= 2*sensorWindow && acked < turns/8 {
				r.t.Errorf("%s: %s wanted to send %d messages, %d were acknowledged", when, s.name, turns, acked)
			}
		}
	}
}

// greedy returns the condition that names who takes memory of a kind.
func (r *rig) greedy(kind string) string {
	res, err := http.Get("http://" + r.console + "/status")
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	var status struct {
		Conditions []struct{ Code, Text string } `json:"conditions"`
	}
	if err != nil || json.Unmarshal(b, &status) != nil {
		return ""
	}
	// One that reads nothing may go by its own bound before all of them fill the
	// budget: then the log names it.
	const deaf = "it does not read what it subscribed to"
	if said := r.process.stderr.String(); kind == "does not read" &&
		strings.Contains(said, deaf+"\" part=mqtt broker=local remote=") {
		return "in the log, by its address"
	}
	for _, c := range status.Conditions {
		who := strings.Contains(c.Text, "attacker") || strings.Contains(c.Text, "127.0.0.1")
		if c.Code == "sensor_takes_memory" && who && strings.Contains(c.Text, kind) {
			return c.Text
		}
	}
	return ""
}

// status reads a line of /proc/PID/status, in bytes.
func status(t *testing.T, pid int, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), name)
	var n int64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// hostile is all that one attacker has.
type hostile struct {
	t    *testing.T
	addr string

	mu  sync.Mutex
	all []net.Conn // guarded by mu
}

func (h *hostile) keep(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, c)
}

func (h *hostile) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.all {
		_ = c.Close()
	}
}

// attacker is a client of MQTT 3.1.1. Its errors do not matter: it may be thrown out.
type attacker struct {
	net.Conn
	id uint16
}

// nothing is what attackers say.
var nothing = make([]byte, 256<<10)

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func (c *attacker) packet(kind byte, body []byte) {
	b := binary.AppendUvarint([]byte{kind}, uint64(len(body)))
	_, _ = c.Write(append(b, body...))
}

func (h *hostile) connect(id string, flags byte) *attacker {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.keep(conn)
	c := &attacker{Conn: conn}
	c.packet(0x10, append(append(text("MQTT"), 4, flags, 0, 0), text(id)...))
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.ReadFull(conn, make([]byte, 4))
	_ = conn.SetReadDeadline(time.Time{})
	return c
}

func (c *attacker) subscribe(filter string, qos byte) {
	c.packet(0x82, append(append([]byte{0, 1}, text(filter)...), qos))
	_, _ = io.ReadFull(c, make([]byte, 5))
}

func (c *attacker) publish(flags byte, topic string, size int) {
	b := text(topic)
	if flags&6 != 0 {
		c.id++
		b = binary.BigEndian.AppendUint16(b, c.id)
	}
	head := binary.AppendUvarint([]byte{0x30 | flags}, uint64(len(b)+size))
	packet := net.Buffers{append(head, b...), nothing[:size]}
	_, _ = packet.WriteTo(c.Conn)
	if flags&6 != 0 {
		_, _ = io.ReadFull(c, make([]byte, 4))
	}
}
