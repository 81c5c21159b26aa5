package main

import (
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
	"time"

	"edgebench/ledger"
	"edgebench/modbussim"
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
	StatusTopic string            `json:"status_topic"` // where catalogues go, see ledger.Decoder
	Vars        map[string]string `json:"vars"`         // defaults for -set
}

type vars struct {
	Work, Data, Certs, Bin                           string
	PortMTLS, PortTLS, PortPlain, PortLocal, PortSim int
	Devices, Registers, Stride, Sensors              int
	Interval, Delay                                  time.Duration
	Intervals                                        []time.Duration // of devices 0, 1, ..., and again; else Interval
	Set                                              map[string]string
}

// every is the polling interval of a device.
func (v vars) every(device int) time.Duration {
	if n := len(v.Intervals); n > 0 {
		return v.Intervals[device%n]
	}
	return v.Interval
}

// expected is how many polls of all devices are due within a time.
func (v vars) expected(within time.Duration) (n int64) {
	for d := range v.Devices {
		n += int64(within.Seconds()/v.every(d).Seconds() + .5)
	}
	return n
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
		vmix     = fs.Bool("mix", false, "values look like noise instead of counting")
		sensors  = fs.Int("sensors", 0, "MQTT sensor topics")
		rate     = fs.Float64("rate", 0, "sensor messages per second, all topics together")
		warm     = fs.Duration("warmup", 5*time.Second, "before the window")
		measure  = fs.Duration("measure", 30*time.Second, "window")
		outage   = fs.Duration("outage", 0, "cloud outage, starting 5 s into the window")
		mode     = fs.String("outage-mode", "stop", "stop (SIGTERM, port closed) or freeze (SIGSTOP, silence)")
		kill     = fs.Bool("kill", false, "kill -9 the gateway halfway the outage and start it again after 2 s")
		drain    = fs.Duration("drain", 120*time.Second, "longest wait for the rest at the end")
		quiet    = fs.Duration("quiet", 8*time.Second, "at the end: how long nothing must have come, unless all is "+
			"there; more than a peer waits between attempts to connect")
		rtt      = fs.Duration("rtt", 0, "round trip to the cloud broker (mTLS port only), by a proxy that delays")
		superv   = fs.Duration("supervise", 0, "start the gateway again this long after it exits by itself, as systemd would")
		strace   = fs.Bool("strace", false, "count fsync and friends in the window (slows the gateway)")
		syscalls = fs.Bool("syscalls", false, "count all system calls in the window (slows the gateway)")
		off      = fs.Int("port-offset", 0, "added to every port, to run several at once")
		localQ   = fs.Int("local-queue", 1000, "max_queued_messages of the local broker")
	)
	var intervals []time.Duration
	fs.Func("intervals", "polling intervals of devices 0, 1, ... and so on in turn (1s,2s,500ms), not all the same",
		func(s string) error {
			for f := range strings.SplitSeq(s, ",") {
				d, err := time.ParseDuration(f)
				if err != nil || d <= 0 {
					return fmt.Errorf("%q is not an interval", f)
				}
				intervals = append(intervals, d)
			}
			return nil
		})
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
		PortMTLS: portMTLS + *off, PortTLS: portTLS + *off, PortPlain: portPlain + *off, PortLocal: portLocal + *off,
		PortSim: portSim + *off, Devices: *devices, Registers: *regs, Stride: *stride, Sensors: *sensors,
		Interval: *interval, Intervals: intervals, Delay: *delay, Set: merged}
	for _, d := range []string{r.v.Data, filepath.Join(work, "cloud"), filepath.Join(work, "local")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	r.dec = &ledger.Decoder{Devices: *devices, Registers: *regs, Stride: *stride, Sensors: *sensors,
		Base: *vbase, Mix: *vmix, DeviceAt: r.p.DeviceAt, Status: r.p.StatusTopic}
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
		r.sim, err = modbussim.Start(modbussim.Config{Host: "127.0.0.1", BasePort: r.v.PortSim, Ports: *devices, Units: 1,
			Registers: *regs, Delay: *delay, Base: *vbase, Mix: *vmix})
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
		conf := fmt.Sprintf("user root\nlistener %d 127.0.0.1\nallow_anonymous true\npersistence true\n"+
			"persistence_location %s/\nmax_queued_messages %d\nmax_inflight_messages 1000\nset_tcp_nodelay true\n"+
			"sys_interval 0\nlog_dest file %s/mosquitto.log\n",
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

	if r.sim != nil {
		first, last, all := r.sim.FirstServed()
		if !first.IsZero() {
			res.FirstPollMs = ms(first.Sub(started))
		}
		if all {
			res.AllPolledMs = ms(last.Sub(started))
		}
	}

	// the window
	r.led.ResetLatency()
	var straceCmd *exec.Cmd
	sfile := filepath.Join(work, "strace.txt")
	if *strace || *syscalls {
		which := "trace=fsync,fdatasync,msync,sync_file_range,write,pwrite64,writev,ftruncate,rename,renameat," +
			"unlink,unlinkat,openat"
		if *syscalls {
			which = "trace=all"
		}
		straceCmd = exec.Command("strace", "-f", "-c", "-U", "calls,name", "-e", which,
			"-p", strconv.Itoa(r.gw.Process.Pid), "-o", sfile)
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
		r.finishWindow(&res, t0, s0, l0, g0, b0, h0, busy0, tot0)
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
		r.finishWindow(&res, t0, s0, l0, g0, b0, h0, busy0, tot0)
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
	res.Distinct, res.Duplicates, res.Redelivered = t.Distinct, t.Duplicates, t.Redelivered
	res.OutOfOrder, res.Unknown, res.Empty = t.OutOfOrder, t.Unknown, t.Empty
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
