package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"

	"edgebench/ledger"
	"edgebench/modbussim"
	"edgebench/mqttmini"
	"edgebench/procstat"
)

// Ports, all on 127.0.0.1 and within one thousand, so that runs whose offsets
// differ by thousands cannot meet.
const (
	portMTLS  = 18883 // cloud: client certificate required
	portTLS   = 18884 // cloud: server certificate only
	portPlain = 18885 // cloud: plain, for peers without TLS
	portLocal = 18886 // the gateway's local sensor broker
	portSim   = 18000 // first Modbus slave; up to 800
	portProxy = 18887 // cloud through the delaying proxy
)

// peer is DIR/peer.json. Every string is a text/template over vars.
type peer struct {
	Name        string            `json:"name"`
	Command     []string          `json:"command"`
	Files       map[string]string `json:"files"`        // file in the work directory -> template in DIR
	LocalBroker bool              `json:"local_broker"` // the peer itself listens on the local broker's port
	DeviceAt    string            `json:"device_at"`    // see ledger.Decoder
	Topic       string            `json:"topic"`        // cloud subscription, default "#"
	Vars        map[string]string `json:"vars"`         // defaults for -set
}

type vars struct {
	Work, Data, Certs, Bin                           string
	PortMTLS, PortTLS, PortPlain, PortLocal, PortSim int
	Devices, Registers, Stride, Sensors              int
	Interval, Delay                                  time.Duration
	Set                                              map[string]string
}

type result struct {
	Label, Peer string
	At          time.Time
	Args        []string
	WindowS     float64

	// Modbus
	CyclesExpected, Cycles, Requests, RegistersRead int64
	RequestsPerCycle                                float64

	// cloud, in the window
	Messages, Bytes, Readings     int64
	ReadingsPerS, BytesPerReading float64
	Units                         int64   // steps of 5,000 bytes of topic and payload, as AWS bills
	UnitsPer1M, MessagesPerS      float64 // of readings
	WireBytes                     int64   // sent by the gateway to the cloud with MQTT, TLS; 0 if it connected anew
	WirePerReading                float64

	// cloud, over the whole run
	Served, Distinct, Duplicates, Redelivered, OutOfOrder, Lost, Unknown, Empty int64
	LoadSent, LoadSkipped, LoadUnacked                                          int64
	P50ms, P99ms, MaxMs                                                         float64

	// gateway
	StartupMs              float64
	CPUs, CPUPer1M, CPUPct float64
	PeakRSSMiB, RSSMiB     float64
	AnonMiB, FileMiB       float64 // at the window's end
	WriteBytes, Syscw      int64
	WriteBytesPerReading   float64
	Threads                int64
	DirBytes               int64            // size of the work directory at the end of the outage or window
	Strace                 map[string]int64 `json:",omitempty"`
	SyscallsPerReading     float64          `json:",omitempty"` // all of them, with -syscalls
	Restarts, SelfExits    int
	GatewayExited          bool

	// machine
	LocalBrokerCPUs, CloudBrokerCPUs, HarnessCPUs, MachineBusyPct float64

	// outage
	OutageS, DrainS     float64
	Backlog, BacklogGot int64
	OutageWriteBytes    int64 // what the gateway wrote from the broker's end until just before its return
	OutageReadings      int64 // served meanwhile
	OutageWritePer      float64
	DrainFirstS         float64    // the broker is back until the first of the backlog
	DrainMsgs           [3]float64 // messages a second while the backlog drains: mean, least, most of whole seconds
	DrainBytes          [3]float64
}

type runner struct {
	v     vars
	tv    vars // as the templates see it: the cloud port may be the proxy's
	p     peer
	dir   string
	led   *ledger.Ledger
	dec   *ledger.Decoder
	sim   *modbussim.Sim
	cloud *exec.Cmd
	local *exec.Cmd

	gwMu      sync.Mutex
	gw        *exec.Cmd
	gwDone    chan struct{}
	ending    bool // exits are our own doing from here on
	supervise time.Duration
	restarts  int

	gwCPU  float64 // of earlier incarnations, but for those that exited by themselves
	gwWB   int64
	gwSys  int64
	gwPeak int64
	stop   chan struct{}

	cycles0 int64 // cycles before the window
	wire0   int64
}

func run(args []string) error {
	fs := flag.NewFlagSet("run", flag.ExitOnError)
	var (
		peerDir  = fs.String("peer", "", "peer directory (peer.json and templates)")
		label    = fs.String("label", "", "label in the result")
		out      = fs.String("out", "results.jsonl", "append the result here")
		base     = fs.String("work", filepath.Join(os.TempDir(), "edgebench", "work"), "work directory")
		bin      = fs.String("bin", filepath.Join(os.TempDir(), "edgebench", "bin"), "{{.Bin}} in templates")
		devices  = fs.Int("devices", 0, "Modbus devices, each on its own port")
		regs     = fs.Int("registers", 1000, "registers per device")
		stride   = fs.Int("stride", 1, "use every n-th register")
		interval = fs.Duration("interval", time.Second, "polling interval")
		delay    = fs.Duration("delay", 0, "slave response delay")
		vbase    = fs.Int("base", 0, "added to every register value: 10000 gives them five digits")
		vmix     = fs.Bool("mix", false, "values look like noise instead of counting: digits and compression as of any 16-bit number")
		sensors  = fs.Int("sensors", 0, "MQTT sensor topics")
		rate     = fs.Float64("rate", 0, "sensor messages per second, all topics together")
		warm     = fs.Duration("warmup", 5*time.Second, "before the window")
		measure  = fs.Duration("measure", 30*time.Second, "window")
		outage   = fs.Duration("outage", 0, "cloud outage, starting 5 s into the window")
		mode     = fs.String("outage-mode", "stop", "stop (SIGTERM, port closed) or freeze (SIGSTOP, silence)")
		kill     = fs.Bool("kill", false, "kill -9 the gateway halfway the outage and start it again after 2 s")
		drain    = fs.Duration("drain", 120*time.Second, "longest wait for the rest at the end")
		quiet    = fs.Duration("quiet", 8*time.Second, "at the end: how long nothing must have come, unless all is there; more than a peer waits between attempts to connect")
		rtt      = fs.Duration("rtt", 0, "round trip to the cloud broker (mTLS port only), by a proxy that delays")
		superv   = fs.Duration("supervise", 0, "start the gateway again this long after it exits by itself, as systemd would")
		strace   = fs.Bool("strace", false, "count fsync and friends in the window (slows the gateway)")
		syscalls = fs.Bool("syscalls", false, "count all system calls in the window (slows the gateway)")
		off      = fs.Int("port-offset", 0, "added to every port, to run several at once")
		localQ   = fs.Int("local-queue", 1000, "max_queued_messages of the local broker")
	)
	set := map[string]string{}
	fs.Func("set", "k=v template variable (repeatable)", func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want k=v")
		}
		set[k] = v
		return nil
	})
	fs.Parse(args)
	pj, err := os.ReadFile(filepath.Join(*peerDir, "peer.json"))
	if err != nil {
		return err
	}
	r := &runner{dir: *peerDir, stop: make(chan struct{}), supervise: *superv}
	if err := json.Unmarshal(pj, &r.p); err != nil {
		return err
	}
	merged := map[string]string{}
	for k, v := range r.p.Vars {
		merged[k] = v
	}
	for k, v := range set {
		merged[k] = v
	}
	if r.p.Topic == "" {
		r.p.Topic = "#"
	}
	work := filepath.Join(*base, "run")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	r.v = vars{Work: work, Data: filepath.Join(work, "data"), Certs: filepath.Join(*base, "certs"), Bin: *bin,
		PortMTLS: portMTLS + *off, PortTLS: portTLS + *off, PortPlain: portPlain + *off, PortLocal: portLocal + *off, PortSim: portSim + *off,
		Devices: *devices, Registers: *regs, Stride: *stride, Sensors: *sensors, Interval: *interval, Delay: *delay, Set: merged}
	for _, d := range []string{r.v.Data, filepath.Join(work, "cloud"), filepath.Join(work, "local")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	r.dec = &ledger.Decoder{Devices: *devices, Registers: *regs, Stride: *stride, Sensors: *sensors, Base: *vbase, Mix: *vmix, DeviceAt: r.p.DeviceAt}
	r.led = ledger.New(r.dec.Keys())
	defer r.cleanup()
	for _, p := range []int{r.v.PortMTLS, r.v.PortTLS, r.v.PortPlain} {
		if err := portFree(p); err != nil {
			return err
		}
	}
	if *sensors > 0 {
		if err := portFree(r.v.PortLocal); err != nil {
			return err
		}
	}
	if *devices > 0 {
		r.sim, err = modbussim.Start(modbussim.Config{Host: "127.0.0.1", BasePort: r.v.PortSim, Ports: *devices, Units: 1, Registers: *regs, Delay: *delay, Base: *vbase, Mix: *vmix})
		if err != nil {
			return err
		}
		r.dec.ServedAt = r.sim.ServedAt
	}
	if err := r.startCloud(); err != nil {
		return err
	}
	if err := r.startSub(); err != nil {
		return err
	}
	if *sensors > 0 && !r.p.LocalBroker {
		conf := fmt.Sprintf("user root\nlistener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nmax_queued_messages %d\nmax_inflight_messages 1000\nset_tcp_nodelay true\nsys_interval 0\nlog_dest file %s/mosquitto.log\n",
			r.v.PortLocal, filepath.Join(work, "local"), *localQ, filepath.Join(work, "local"))
		if r.local, err = startMosquitto(filepath.Join(work, "local"), conf, r.v.PortLocal); err != nil {
			return err
		}
	}
	r.tv = r.v
	if *rtt > 0 {
		r.tv.PortMTLS = portProxy + *off
		l, err := delayProxy(fmt.Sprintf("127.0.0.1:%d", r.tv.PortMTLS), fmt.Sprintf("127.0.0.1:%d", r.v.PortMTLS), *rtt)
		if err != nil {
			return err
		}
		defer l.Close()
	}
	for dst, tpl := range r.p.Files {
		if err := r.render(tpl, dst); err != nil {
			return err
		}
	}
	started := time.Now()
	if err := r.startGateway(); err != nil {
		return err
	}
	var lg *loadgen
	if *sensors > 0 && *rate > 0 {
		if err := waitPort(r.v.PortLocal, 10*time.Second); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // let the gateway subscribe
		lg = startLoad(fmt.Sprintf("127.0.0.1:%d", r.v.PortLocal), *sensors, *rate, 4)
	}
	time.Sleep(*warm)
	res := result{Label: *label, Peer: r.p.Name, At: time.Now(), Args: args}
	if t := r.led.Totals(); !t.FirstMsg.IsZero() {
		res.StartupMs = ms(t.FirstMsg.Sub(started))
	}

	// the window
	r.led.ResetLatency()
	var straceCmd *exec.Cmd
	sfile := filepath.Join(work, "strace.txt")
	if *strace || *syscalls {
		which := "trace=fsync,fdatasync,msync,sync_file_range,write,pwrite64,writev,ftruncate,rename,renameat,unlink,unlinkat,openat"
		if *syscalls {
			which = "trace=all"
		}
		straceCmd = exec.Command("strace", "-f", "-c", "-U", "calls,name", "-e", which, "-p", strconv.Itoa(r.gw.Process.Pid), "-o", sfile)
		if err := straceCmd.Start(); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
	}
	t0 := time.Now()
	s0, l0 := r.simSnap(), r.led.Totals()
	r.cycles0 = r.cycles()
	r.wire0 = r.wire()
	g0, b0, h0 := r.gwSample(), r.brokers(), sample(os.Getpid())
	busy0, tot0 := machine()
	if *outage > 0 {
		res.OutageS = outage.Seconds()
		time.Sleep(5 * time.Second)
		ow0, os0 := r.gwSample().WriteBytes, sum(r.served(lg))
		if *mode == "freeze" {
			r.cloud.Process.Signal(syscall.SIGSTOP)
		} else {
			stopProc(r.cloud)
		}
		if *kill {
			time.Sleep(*outage / 2)
			r.killGateway()
			time.Sleep(2 * time.Second)
			r.setEnding(false)
			if err := r.startGateway(); err != nil {
				return err
			}
			res.Restarts++
			time.Sleep(*outage/2 - 2*time.Second)
		} else {
			time.Sleep(*outage)
		}
		res.DirBytes = dirBytes(r.v.Data)
		thr := r.served(lg)
		res.OutageWriteBytes, res.OutageReadings = r.gwSample().WriteBytes-ow0, sum(thr)-os0
		res.OutageWritePer = float64(res.OutageWriteBytes) / float64(max(1, res.OutageReadings))
		before := r.led.Totals().Distinct
		for _, n := range thr {
			res.Backlog += int64(n)
		}
		res.Backlog -= before
		r.led.SetThreshold(thr)
		restart := time.Now()
		if *mode == "freeze" {
			r.cloud.Process.Signal(syscall.SIGCONT)
		} else if err := r.startCloud(); err != nil {
			return err
		}
		for time.Since(t0) < *measure {
			time.Sleep(100 * time.Millisecond)
		}
		res.DrainS = -1
		r.finishWindow(&res, t0, s0, l0, g0, b0, h0, busy0, tot0, *interval)
		r.stopSources(lg)
		r.settle(*drain, *quiet, lg)
		n, first, last := r.led.Backlog()
		res.BacklogGot = n
		if n > 0 {
			res.DrainS = last.Sub(restart).Seconds()
			res.DrainFirstS = first.Sub(restart).Seconds()
			for i, s := range r.led.Series(first, last) {
				m, b := float64(s.Messages), float64(s.Bytes)
				if i == 0 {
					res.DrainMsgs[1], res.DrainBytes[1] = m, b
				}
				res.DrainMsgs = [3]float64{res.DrainMsgs[0] + m, min(res.DrainMsgs[1], m), max(res.DrainMsgs[2], m)}
				res.DrainBytes = [3]float64{res.DrainBytes[0] + b, min(res.DrainBytes[1], b), max(res.DrainBytes[2], b)}
			}
			if k := float64(len(r.led.Series(first, last))); k > 0 {
				res.DrainMsgs[0] /= k
				res.DrainBytes[0] /= k
			}
		}
	} else {
		time.Sleep(*measure - time.Since(t0))
		res.DirBytes = dirBytes(r.v.Data)
		r.finishWindow(&res, t0, s0, l0, g0, b0, h0, busy0, tot0, *interval)
		r.stopSources(lg)
		r.settle(*drain, *quiet, lg)
	}
	if straceCmd != nil {
		straceCmd.Process.Signal(syscall.SIGINT)
		straceCmd.Wait()
		res.Strace = parseStrace(sfile)
		if *syscalls {
			var calls int64
			for _, n := range res.Strace {
				calls += n
			}
			res.SyscallsPerReading = float64(calls) / float64(max(1, r.led.Totals().Distinct-l0.Distinct))
		}
	}
	res.P50ms, res.P99ms = ms(r.led.Quantile(.5)), ms(r.led.Quantile(.99))
	t := r.led.Totals()
	res.MaxMs = ms(t.MaxLatency)
	res.Distinct, res.Duplicates, res.Redelivered, res.OutOfOrder, res.Unknown, res.Empty = t.Distinct, t.Duplicates, t.Redelivered, t.OutOfOrder, t.Unknown, t.Empty
	res.Served = sum(r.served(lg))
	res.Lost = r.led.Missing(r.settled(lg))
	if lg != nil {
		res.LoadSent, res.LoadSkipped, res.LoadUnacked = lg.sent.Load(), lg.skipped.Load(), lg.unacked.Load()
	}
	r.gwMu.Lock()
	res.SelfExits = r.restarts
	gone := r.gwDone
	r.gwMu.Unlock()
	select {
	case <-gone:
		res.GatewayExited = true
	default:
	}
	f, err := os.OpenFile(*out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	b, _ := json.Marshal(res)
	f.Write(append(b, '\n'))
	fmt.Println(res.String())
	return nil
}

func (r *runner) finishWindow(res *result, t0 time.Time, s0 modbussim.Stats, l0 ledger.Totals, g0 procstat.Sample, b0 [2]float64, h0 procstat.Sample, busy0, tot0 float64, interval time.Duration) {
	w := time.Since(t0)
	wire1 := r.wire()
	g1, b1, h1 := r.gwSample(), r.brokers(), sample(os.Getpid())
	busy1, tot1 := machine()
	s1, l1 := r.simSnap(), r.led.Totals()
	res.WindowS = w.Seconds()
	if r.sim != nil {
		res.CyclesExpected = int64(w.Seconds()/interval.Seconds()+.5) * int64(r.sim.Devices())
		res.Requests, res.RegistersRead = s1.Requests-s0.Requests, s1.Registers-s0.Registers
		res.Cycles = r.cycles() - r.cycles0
		if res.Cycles > 0 {
			res.RequestsPerCycle = float64(res.Requests) / float64(res.Cycles)
		}
	}
	res.Messages, res.Bytes, res.Readings = l1.Messages-l0.Messages, l1.Bytes-l0.Bytes, l1.Distinct-l0.Distinct
	res.ReadingsPerS = float64(res.Readings) / w.Seconds()
	res.MessagesPerS = float64(res.Messages) / w.Seconds()
	res.Units = l1.Units - l0.Units
	res.WireBytes = max(0, wire1-r.wire0)
	res.CPUs = g1.CPU - g0.CPU
	res.CPUPct = 100 * res.CPUs / w.Seconds()
	res.PeakRSSMiB, res.RSSMiB = float64(g1.Peak)/(1<<20), float64(g1.RSS)/(1<<20)
	res.AnonMiB, res.FileMiB = float64(g1.Anon)/(1<<20), float64(g1.File)/(1<<20)
	res.WriteBytes, res.Syscw, res.Threads = g1.WriteBytes-g0.WriteBytes, g1.Syscw-g0.Syscw, g1.Threads
	if res.Readings > 0 {
		res.BytesPerReading = float64(res.Bytes) / float64(res.Readings)
		res.CPUPer1M = res.CPUs / float64(res.Readings) * 1e6
		res.UnitsPer1M = float64(res.Units) / float64(res.Readings) * 1e6
		res.WirePerReading = float64(res.WireBytes) / float64(res.Readings)
		res.WriteBytesPerReading = float64(res.WriteBytes) / float64(res.Readings)
	}
	res.LocalBrokerCPUs, res.CloudBrokerCPUs = b1[0]-b0[0], b1[1]-b0[1]
	res.HarnessCPUs = h1.CPU - h0.CPU
	res.MachineBusyPct = 100 * (busy1 - busy0) / (tot1 - tot0)
}

func (r *result) String() string {
	return fmt.Sprintf("%-28s %-18s rd/s %.0f cyc %d/%d req/cyc %.2f msg %d B/rd %.1f wire %.1f units/M %.0f | CPU %.2fs (%.1f%%) per1M %.2f RSS %.1f/%.1f MiB wb %d B/rd %.1f | lost %d dup %d redel %d ooo %d served %d distinct %d | p50 %.2f p99 %.2f max %.1f ms | start %.0f ms | drain %.1f (first %.1f, msg/s %.0f, B/s %.0f) backlog %d/%d dir %d outage wb/rd %.1f | brokers %.2f/%.2f harness %.2f busy %.0f%% skipped %d unacked %d exited %v self-exits %d %v",
		r.Label, r.Peer, r.ReadingsPerS, r.Cycles, r.CyclesExpected, r.RequestsPerCycle, r.Messages, r.BytesPerReading, r.WirePerReading, r.UnitsPer1M, r.CPUs, r.CPUPct, r.CPUPer1M, r.RSSMiB, r.PeakRSSMiB, r.WriteBytes, r.WriteBytesPerReading,
		r.Lost, r.Duplicates, r.Redelivered, r.OutOfOrder, r.Served, r.Distinct, r.P50ms, r.P99ms, r.MaxMs, r.StartupMs, r.DrainS, r.DrainFirstS, r.DrainMsgs, r.DrainBytes, r.BacklogGot, r.Backlog, r.DirBytes, r.OutageWritePer, r.LocalBrokerCPUs, r.CloudBrokerCPUs, r.HarnessCPUs, r.MachineBusyPct, r.LoadSkipped, r.LoadUnacked, r.GatewayExited, r.SelfExits, r.Strace)
}

// served is, per key, how many readings the sources gave out.
func (r *runner) served(lg *loadgen) []uint32 {
	n := make([]uint32, r.dec.Keys())
	for d := range r.v.Devices {
		for reg, c := range r.sim.Counts(d) {
			if k := r.dec.RegKey(d, reg); k >= 0 {
				n[k] = c
			}
		}
	}
	if lg != nil {
		for s := range r.v.Sensors {
			n[r.dec.SensorKey(s)] = lg.seqs[s].Load()
		}
	}
	return n
}

// settled is served without the poll that was cut off when the slaves went away.
func (r *runner) settled(lg *loadgen) []uint32 {
	n := r.served(lg)
	for k := range n {
		if k < r.dec.Keys()-r.v.Sensors && n[k] > 0 {
			n[k]--
		}
	}
	return n
}

func sum(v []uint32) (n int64) {
	for _, x := range v {
		n += int64(x)
	}
	return
}

func (r *runner) stopSources(lg *loadgen) {
	if lg != nil {
		lg.Stop()
	}
	if r.sim != nil {
		r.sim.Close()
	}
}

// settle waits until all is there and nothing came for 3 s (repeats may follow), or until
// nothing came for the time quiet, or for at most the time most.
func (r *runner) settle(most, quiet time.Duration, lg *loadgen) {
	begin := time.Now()
	upto := r.settled(lg)
	for time.Since(begin) < most {
		silent := min(time.Since(r.led.Totals().LastMsg), time.Since(begin))
		if silent > quiet || silent > 3*time.Second && r.led.Missing(upto) == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (r *runner) render(tpl, dst string) error {
	t, err := template.New(filepath.Base(tpl)).Funcs(template.FuncMap{
		"seq": func(n int) []int {
			s := make([]int, n)
			for i := range s {
				s[i] = i
			}
			return s
		},
		"add": func(a, b int) int { return a + b },
		"mod": func(a, b int) int { return a % b },
		"min": func(a, b int) int { return min(a, b) },
		"steps": func(n, step int) []int {
			var s []int
			for i := 0; i < n; i += step {
				s = append(s, i)
			}
			return s
		},
	}).ParseFiles(filepath.Join(r.dir, tpl))
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(r.v.Work, dst))
	if err != nil {
		return err
	}
	defer f.Close()
	return t.Execute(f, r.tv)
}

func (r *runner) startGateway() error {
	var argv []string
	for _, a := range r.p.Command {
		t, err := template.New("arg").Parse(a)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, r.tv); err != nil {
			return err
		}
		argv = append(argv, b.String())
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = r.v.Work
	lf, err := os.OpenFile(filepath.Join(r.v.Work, "gateway.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = lf, lf
	c.SysProcAttr = withUs()
	if err := c.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	r.gwMu.Lock()
	r.gw, r.gwDone = c, done
	r.gwMu.Unlock()
	go func() {
		c.Wait()
		close(done)
		r.gwMu.Lock()
		again := r.supervise > 0 && !r.ending
		r.gwMu.Unlock()
		if !again {
			return
		}
		time.Sleep(r.supervise)
		r.gwMu.Lock()
		again = !r.ending
		r.restarts++
		r.gwMu.Unlock()
		if again {
			r.startGateway()
		}
	}()
	return nil
}

// setEnding says whether an exit of the gateway is our own doing.
func (r *runner) setEnding(on bool) {
	r.gwMu.Lock()
	r.ending = on
	r.gwMu.Unlock()
}

func (r *runner) killGateway() {
	s := sample(r.gw.Process.Pid)
	r.gwCPU += s.CPU
	r.gwWB += s.WriteBytes
	r.gwSys += s.Syscw
	r.gwPeak = max(r.gwPeak, s.Peak)
	r.setEnding(true)
	r.gw.Process.Kill()
	<-r.gwDone
}

// gwSample is the gateway's totals over all its incarnations.
func (r *runner) gwSample() procstat.Sample {
	s := sample(r.gw.Process.Pid)
	s.CPU += r.gwCPU
	s.WriteBytes += r.gwWB
	s.Syscw += r.gwSys
	s.Peak = max(s.Peak, r.gwPeak)
	return s
}

func (r *runner) cleanup() {
	close(r.stop)
	r.setEnding(true)
	if r.gw != nil {
		select {
		case <-r.gwDone:
		default:
			r.gw.Process.Signal(syscall.SIGTERM)
			select {
			case <-r.gwDone:
			case <-time.After(8 * time.Second):
				r.gw.Process.Kill()
				<-r.gwDone
			}
		}
	}
	if r.sim != nil {
		r.sim.Close()
	}
	for _, c := range []*exec.Cmd{r.local, r.cloud} {
		if c != nil && c.ProcessState == nil {
			c.Process.Signal(syscall.SIGCONT)
			stopProc(c)
		}
	}
}

func (r *runner) startCloud() error {
	d := filepath.Join(r.v.Work, "cloud")
	certs := r.v.Certs
	tlsFiles := fmt.Sprintf("cafile %s/ca.crt\ncertfile %s/broker.crt\nkeyfile %s/broker.key\n", certs, certs, certs)
	conf := fmt.Sprintf("user root\nallow_anonymous true\nlistener %d 127.0.0.1\n%srequire_certificate true\nlistener %d 127.0.0.1\n%slistener %d 127.0.0.1\npersistence true\npersistence_location %s/\nmax_queued_messages 0\nmax_inflight_messages 1000\nset_tcp_nodelay true\nsys_interval 0\nlog_dest file %s/mosquitto.log\n",
		r.v.PortMTLS, tlsFiles, r.v.PortTLS, tlsFiles, r.v.PortPlain, d, d)
	var err error
	r.cloud, err = startMosquitto(d, conf, r.v.PortMTLS)
	return err
}

func (r *runner) startSub() error {
	tc, err := clientTLS(r.v.Certs, "subscriber")
	if err != nil {
		return err
	}
	first := make(chan struct{})
	go func() {
		up := false
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			c, err := mqttmini.Dial(mqttmini.Options{Addr: fmt.Sprintf("127.0.0.1:%d", r.v.PortMTLS), TLS: tc, ClientID: "edgebench-sub",
				OnMessage: func(t, p []byte, dup bool) { r.dec.Decode(r.led, t, p, dup) }})
			if err == nil && !c.SessionPresent() {
				err = c.Subscribe(r.p.Topic)
			}
			if err != nil {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			if !up {
				up = true
				close(first)
			}
			select {
			case <-c.Done():
			case <-r.stop:
				c.Close()
				return
			}
		}
	}()
	select {
	case <-first:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the cloud subscriber did not connect")
	}
}

func clientTLS(dir, name string) (*tls.Config, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("%w (run scripts/make-certs.sh %s first)", err, dir)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: "localhost"}, err
}
