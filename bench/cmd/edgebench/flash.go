package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"edgebench/ledger"
	"edgebench/modbussim"
)

// wear is what a gateway asks of the disk that its queue is on, in one window.
type wear struct {
	Label    string
	Readings int64 // that the sources gave out in the window
	Seconds  float64

	KernelBytes   int64 // write_bytes of /proc/PID/io: pages dirtied
	DeviceWrites  int64 // on the disk's own file system, with its journal
	DeviceBytes   int64
	DeviceFlushes int64
	StartBytes    int64 // KernelBytes from the program's begin to the window
	CPUPer1M      float64

	// By strace, of files in the queue's folder, in a window of its own, since it
	// slows the gateway.
	TracedSeconds        float64
	TracedReadings       int64
	Writes, WrittenBytes int64
	Syncs, Changes       int64 // Changes: files made, removed, renamed, made longer
}

// per is a figure for each reading of the window.
func per(n, readings int64) float64 { return float64(n) / float64(max(1, readings)) }

func (w *wear) String() string {
	return fmt.Sprintf("| %s | %.0f | %.2f | %.0f | %.2f | %.0f | %.1f | %.1f | %.1f | %.0f |",
		w.Label, float64(w.Readings)/w.Seconds, float64(w.Writes)/w.TracedSeconds,
		float64(w.WrittenBytes)/w.TracedSeconds/1024, float64(w.Syncs)/w.TracedSeconds,
		float64(w.KernelBytes)/w.Seconds/1024, float64(w.DeviceFlushes)/w.Seconds,
		per(w.DeviceBytes, w.Readings), per(w.KernelBytes, w.Readings), float64(w.StartBytes)/1024)
}

const wearHead = `| load | readings/s | writes/s | KiB/s written | syncs/s | KiB/s by the kernel | flushes/s of the ` +
	`device |` +
	` bytes a reading: device | by the kernel | KiB at the start |
|---|---|---|---|---|---|---|---|---|---|`

// flashCmd measures what the queue asks of its disk: one window by the kernel's and the
// device's counters, and one with each system call on a file of the queue counted.
func flashCmd(args []string) error {
	fs := flag.NewFlagSet("flash", flag.ExitOnError)
	var (
		peerDir  = fs.String("peer", "peers/fieldbridge", "peer directory")
		label    = fs.String("label", "", "label in the result")
		out      = fs.String("out", "", "append the result here as JSON, too")
		base     = fs.String("work", filepath.Join(os.TempDir(), "edgebench", "work"), "work directory")
		data     = fs.String("data", "", "an empty folder for the queue, on a disk of its own (else in the work directory)")
		bin      = fs.String("bin", filepath.Join(os.TempDir(), "edgebench", "bin"), "{{.Bin}} in templates")
		devices  = fs.Int("devices", 0, "Modbus devices, polled each second")
		regs     = fs.Int("registers", 1000, "registers per device")
		sensors  = fs.Int("sensors", 0, "MQTT sensor topics")
		rate     = fs.Float64("rate", 0, "sensor messages per second, all topics together")
		warm     = fs.Duration("warmup", 15*time.Second, "from the gateway's start to the window")
		measure  = fs.Duration("measure", 30*time.Second, "each of the two windows")
		outage   = fs.Bool("outage", false, "the cloud is away")
		head     = fs.Bool("head", false, "print the head of the table first")
		off      = fs.Int("port-offset", 0, "added to every port, to run several at once")
		settings = map[string]string{}
	)
	fs.Func("set", "k=v for the peer's templates (repeatable)", func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want k=v")
		}
		settings[k] = v
		return nil
	})
	_ = fs.Parse(args)
	r := &runner{dir: *peerDir, stop: make(chan struct{})}
	text, err := os.ReadFile(filepath.Join(*peerDir, "peer.json"))
	if err == nil {
		err = json.Unmarshal(text, &r.p)
	}
	if err != nil {
		return err
	}
	set := map[string]string{}
	for _, from := range []map[string]string{r.p.Vars, settings} {
		for k, v := range from {
			set[k] = v
		}
	}
	work := filepath.Join(*base, "run")
	if *data == "" {
		*data = filepath.Join(work, "data")
	}
	r.v = vars{Work: work, Data: *data, Certs: filepath.Join(*base, "certs"), Bin: *bin,
		PortMTLS: portMTLS + *off, PortTLS: portTLS + *off, PortPlain: portPlain + *off, PortLocal: portLocal + *off,
		PortSim: portSim + *off, Devices: *devices, Registers: *regs, Stride: 1, Sensors: *sensors, Interval: time.Second,
		Set: set}
	r.tv = r.v
	defer r.cleanup()
	lg, err := r.furnish(*outage, *rate)
	if err != nil {
		return err
	}
	time.Sleep(*warm)
	w := wear{Label: *label}
	if err := r.count(&w, *measure, lg); err != nil {
		return err
	}
	if err := r.trace(&w, *measure, lg); err != nil {
		return err
	}
	r.stopSources(lg)
	r.sim = nil
	if *out != "" {
		f, err := os.OpenFile(*out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(json.NewEncoder(f).Encode(&w), f.Close()); err != nil {
			return err
		}
	}
	if *head {
		fmt.Println(wearHead)
	}
	fmt.Println(&w)
	return nil
}

// furnish starts everything: without a cloud its port refuses.
func (r *runner) furnish(outage bool, rate float64) (*loadgen, error) {
	if err := os.RemoveAll(r.v.Work); err != nil {
		return nil, err
	}
	for _, d := range []string{r.v.Data, filepath.Join(r.v.Work, "cloud")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	r.dec = &ledger.Decoder{Devices: r.v.Devices, Registers: r.v.Registers, Stride: 1, Sensors: r.v.Sensors,
		DeviceAt: r.p.DeviceAt, Status: r.p.StatusTopic}
	r.led = ledger.New(r.dec.Keys())
	var err error
	if r.v.Devices > 0 {
		r.sim, err = modbussim.Start(modbussim.Config{Host: "127.0.0.1", BasePort: r.v.PortSim, Ports: r.v.Devices,
			Units: 1, Registers: r.v.Registers, Mix: true})
		if err != nil {
			return nil, err
		}
	}
	if !outage {
		if err := r.startCloud(); err != nil {
			return nil, err
		}
	}
	for dst, tpl := range r.p.Files {
		if err := r.render(tpl, dst); err != nil {
			return nil, err
		}
	}
	if err := r.startGateway(); err != nil {
		return nil, err
	}
	if r.v.Sensors == 0 {
		return nil, nil
	}
	if err := waitPort(r.v.PortLocal, 10*time.Second); err != nil {
		return nil, err
	}
	return startLoad(fmt.Sprintf("127.0.0.1:%d", r.v.PortLocal), r.v.Sensors, rate, 4), nil
}

// count is the window of the kernel's counters.
func (r *runner) count(w *wear, measure time.Duration, lg *loadgen) error {
	d0, err := r.device()
	if err != nil {
		return err
	}
	began, p0, served := time.Now(), r.gwSample(), sum(r.served(lg))
	time.Sleep(measure)
	w.Seconds = time.Since(began).Seconds()
	p1 := r.gwSample()
	w.Readings = sum(r.served(lg)) - served
	d1, err := r.device()
	if err != nil {
		return err
	}
	w.StartBytes, w.KernelBytes = p0.WriteBytes, p1.WriteBytes-p0.WriteBytes
	w.DeviceWrites, w.DeviceBytes, w.DeviceFlushes = d1[0]-d0[0], d1[1]-d0[1], d1[2]-d0[2]
	w.CPUPer1M = (p1.CPU - p0.CPU) / float64(max(1, w.Readings)) * 1e6
	return nil
}

// device reads how many writes, bytes and flushes the queue's disk has had, after
// everything that waits is written; zeros where it is no device of its own.
func (r *runner) device() (n [3]int64, err error) {
	if out, err := exec.Command("sync", "-f", r.v.Data).CombinedOutput(); err != nil {
		return n, fmt.Errorf("sync: %w: %s", err, out)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(r.v.Data, &st); err != nil {
		return n, err
	}
	major, minor := st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", major, minor))
	if f := strings.Fields(string(text)); err == nil && len(f) > 15 {
		for i, at := range []int{4, 6, 15} {
			n[i], _ = strconv.ParseInt(f[at], 10, 64)
		}
		n[1] *= 512 // sectors
	}
	return n, nil
}

const fileCalls = "trace=write,pwrite64,writev,pwritev,fsync,fdatasync,msync,sync_file_range,ftruncate,fallocate," +
	"rename,renameat,renameat2,unlink,unlinkat,openat"

// trace is the window with strace, which says the file of each call.
func (r *runner) trace(w *wear, measure time.Duration, lg *loadgen) error {
	file := filepath.Join(r.v.Work, "strace.txt")
	cmd := exec.Command("strace", "-f", "-y", "-s", "0", "-e", fileCalls, "-p", strconv.Itoa(r.gw.Process.Pid), "-o", file)
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(time.Second) // it takes hold
	began, served := time.Now(), sum(r.served(lg))
	from, err := size(file)
	if err != nil {
		return err
	}
	time.Sleep(measure)
	w.TracedSeconds, w.TracedReadings = time.Since(began).Seconds(), sum(r.served(lg))-served
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	return w.read(file, from, r.v.Data)
}

func size(file string) (int64, error) {
	i, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}

var (
	callLine = regexp.MustCompile(`^\d+ +(\w+)\(`)
	resumed  = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.*= (-?\d+)`)
	returned = regexp.MustCompile(`= (-?\d+)`)
)

// read counts the calls on files of the queue from an offset of strace's output on.
func (w *wear) read(file string, from int64, data string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(from, 0); err != nil {
		return err
	}
	open := map[string]bool{} // threads whose call on a file of the queue has not returned yet
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		thread, _, _ := strings.Cut(line, " ")
		if m := resumed.FindStringSubmatch(line); m != nil {
			if open[m[1]] {
				w.add(m[2], m[3])
			}
			delete(open, m[1])
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil || !strings.Contains(line, data+"/") {
			continue
		}
		if m[1] == "openat" && !strings.Contains(line, "O_CREAT") {
			continue
		}
		if strings.Contains(line, "<unfinished") {
			open[thread] = true
			continue
		}
		if n := returned.FindStringSubmatch(line); n != nil {
			w.add(m[1], n[1])
		}
	}
	return nil
}

// add counts one call with its result.
func (w *wear) add(call, result string) {
	n, err := strconv.ParseInt(result, 10, 64)
	if err != nil || n < 0 {
		return
	}
	switch call {
	case "write", "pwrite64", "writev", "pwritev":
		w.Writes++
		w.WrittenBytes += n
	case "fsync", "fdatasync", "msync", "sync_file_range":
		w.Syncs++
	default:
		w.Changes++
	}
}
