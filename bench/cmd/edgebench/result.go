package main

import (
	"fmt"
	"os"
	"time"

	"edgebench/ledger"
	"edgebench/modbussim"
	"edgebench/procstat"
)

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
	StartupMs              float64 // from the start to the first message
	FirstPollMs            float64 // to the first answer of a device
	AllPolledMs            float64 // until each has answered once; 0 if one has not before the window
	CPUs, CPUPer1M, CPUPct float64
	PeakRSSMiB, RSSMiB     float64
	AnonMiB, FileMiB       float64 // at the window's end
	WriteBytes, Syscw      int64
	WriteBytesPerReading   float64
	Threads                int64
	SwitchesPerS           float64          // of all threads
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

func (r *runner) finishWindow(res *result, t0 time.Time, s0 modbussim.Stats, l0 ledger.Totals, g0 procstat.Sample,
	b0 [2]float64, h0 procstat.Sample, busy0, tot0 float64) {
	w := time.Since(t0)
	wire1 := r.wire()
	g1, b1, h1 := r.gwSample(), r.brokers(), sample(os.Getpid())
	busy1, tot1 := machine()
	s1, l1 := r.simSnap(), r.led.Totals()
	res.WindowS = w.Seconds()
	if r.sim != nil {
		res.CyclesExpected = r.v.expected(w)
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
	res.WriteBytes, res.Syscw = g1.WriteBytes-g0.WriteBytes, g1.Syscw-g0.Syscw
	res.Threads = g1.Threads
	if res.Readings > 0 {
		res.BytesPerReading = float64(res.Bytes) / float64(res.Readings)
		res.CPUPer1M = res.CPUs / float64(res.Readings) * 1e6
		res.UnitsPer1M = float64(res.Units) / float64(res.Readings) * 1e6
		res.WirePerReading = float64(res.WireBytes) / float64(res.Readings)
		res.WriteBytesPerReading = float64(res.WriteBytes) / float64(res.Readings)
	}
	res.SwitchesPerS = float64(g1.Switches-g0.Switches) / w.Seconds()
	res.LocalBrokerCPUs, res.CloudBrokerCPUs = b1[0]-b0[0], b1[1]-b0[1]
	res.HarnessCPUs = h1.CPU - h0.CPU
	res.MachineBusyPct = 100 * (busy1 - busy0) / (tot1 - tot0)
}

func (r *result) String() string {
	return fmt.Sprintf("%-28s %-18s rd/s %.0f cyc %d/%d req/cyc %.2f msg %d B/rd %.1f wire %.1f units/M %.0f"+
		" | CPU %.2fs (%.1f%%) per1M %.2f RSS %.1f/%.1f MiB wb %d B/rd %.1f"+
		" | lost %d dup %d redel %d ooo %d served %d distinct %d"+
		" | p50 %.2f p99 %.2f max %.1f ms | start %.0f ms (polled %.0f to %.0f)"+
		" | drain %.1f (first %.1f, msg/s %.0f, B/s %.0f) backlog %d/%d dir %d outage wb/rd %.1f"+
		" | brokers %.2f/%.2f harness %.2f busy %.0f%%"+
		" skipped %d unacked %d exited %v self-exits %d %v",
		r.Label, r.Peer, r.ReadingsPerS, r.Cycles, r.CyclesExpected, r.RequestsPerCycle, r.Messages,
		r.BytesPerReading, r.WirePerReading, r.UnitsPer1M, r.CPUs, r.CPUPct, r.CPUPer1M,
		r.RSSMiB, r.PeakRSSMiB, r.WriteBytes, r.WriteBytesPerReading,
		r.Lost, r.Duplicates, r.Redelivered, r.OutOfOrder, r.Served, r.Distinct, r.P50ms, r.P99ms, r.MaxMs,
		r.StartupMs, r.FirstPollMs, r.AllPolledMs,
		r.DrainS, r.DrainFirstS, r.DrainMsgs, r.DrainBytes, r.BacklogGot, r.Backlog, r.DirBytes, r.OutageWritePer,
		r.LocalBrokerCPUs, r.CloudBrokerCPUs, r.HarnessCPUs, r.MachineBusyPct, r.LoadSkipped, r.LoadUnacked,
		r.GatewayExited, r.SelfExits, r.Strace)
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
