package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/modbustest"
)

// BenchmarkGateway measures the whole gateway as a process of its own, between
// the device simulator and the stand-in, which run in the test's process:
//
//	go test -run '^$' -bench Gateway -benchtime 1x ./cmd/fieldbridge
//
// One iteration runs for loadSpan after loadWarmup. Reported are the gateway's
// CPU seconds per million readings that the cloud acknowledged, its peak memory
// since the start, the mean delay from acquisition to the cloud's
// acknowledgement, and what reached the disk.
func BenchmarkGateway(b *testing.B) {
	for _, load := range []struct {
		name               string
		devices, registers int
		every              string
		linger             string
	}{
		{"10x1000", 10, 1000, "1s", "1s"},
		{"10x20", 10, 20, "1s", "1s"},
		{"10x20/linger0", 10, 20, "1s", "0s"},
		{"1x100/100ms/linger0", 1, 100, "100ms", "0s"},
	} {
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				measure(b, load.devices, load.registers, load.every, load.linger)
			}
		})
	}
}

const (
	loadWarmup = 5 * time.Second
	loadSpan   = 30 * time.Second
)

// releaseBinary builds the program as it is shipped.
var releaseBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("fieldbridge-load-%d", os.Getpid()))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

func measure(b *testing.B, devices, registers int, every, linger string) {
	bin, err := releaseBinary()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs")})
	if err != nil {
		b.Fatal(err)
	}
	defer cloud.Close()
	if _, err := cloud.Device("load"); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var sims sync.WaitGroup
	defer sims.Wait()
	defer cancel()
	config := fmt.Sprintf(`gateway: load
northbound: {awsiot: {endpoint: %q, server_name: localhost, certificate: certs/load.pem,
    private_key: certs/load.key, ca: certs/ca.pem, topic: "load/{gateway}", linger: %s}}
store: {dir: queue}
southbound:
  modbus:
    buses:
`, cloud.Addr(), linger)
	points := ""
	for r := range registers {
		points += fmt.Sprintf("          r%d: {holding: %d}\n", r, r)
	}
	devicesText := ""
	for d := range devices {
		sim := modbustest.New()
		fill(sim.Unit(1), registers)
		addr, err := sim.Listen("127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		sims.Go(func() { sim.Run(ctx) })
		sims.Go(func() {
			for i := 0; pause.Sleep(ctx, 500*time.Millisecond); i++ {
				sim.Unit(1).Set(modbustest.Holding, i%registers, uint16(i))
			}
		})
		config += fmt.Sprintf("      b%d: {url: \"tcp://%s\"}\n", d, addr)
		devicesText += fmt.Sprintf("      d%d:\n        bus: b%d\n        unit_id: 1\n        every: %s\n        points:\n%s",
			d, d, every, points)
	}
	console := needtest.Address(b)
	config += "    devices:\n" + devicesText + fmt.Sprintf("console: {listen: %q}\n", console)
	if err := os.WriteFile(filepath.Join(dir, "load.yaml"), []byte(config), 0o644); err != nil {
		b.Fatal(err)
	}
	gateway := exec.Command(bin, runArgs()...)
	gateway.Dir = dir
	log := &output{}
	gateway.Stderr = log
	if err := gateway.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { gateway.Process.Kill(); gateway.Wait() }()
	time.Sleep(loadWarmup) // the measurement's own time
	before := scrapeAt(console)
	time.Sleep(loadSpan)
	after := scrapeAt(console)
	if before == nil || after == nil {
		b.Fatalf("no metrics: %s", log)
	}
	report(b, gateway.Process.Pid, before, after)
}

// runArgs are the arguments of the gateway that is measured. FIELDBRIDGE_RUN_FLAGS
// has more flags.
func runArgs() []string {
	return append([]string{"run", "load.yaml"}, strings.Fields(os.Getenv("FIELDBRIDGE_RUN_FLAGS"))...)
}

func fill(u *modbustest.Unit, registers int) {
	for r := range registers {
		u.Set(modbustest.Holding, r, uint16(r*37))
	}
}

func report(b *testing.B, pid int, before, after map[string]float64) {
	delta := func(name string) float64 { return after[name] - before[name] }
	readings := delta("fieldbridge_queue_acknowledged_readings_total")
	if readings == 0 {
		b.Fatal("no readings were acknowledged")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(readings/loadSpan.Seconds(), "readings/s")
	b.ReportMetric(delta("process_cpu_seconds_total")/readings*1e6, "cpu-s/Mreadings")
	b.ReportMetric(delta("fieldbridge_message_bytes_total")/readings, "bytes/reading")
	b.ReportMetric(readings/delta("fieldbridge_messages_total"), "readings/message")
	b.ReportMetric(1e3*delta("fieldbridge_delivery_delay_seconds_sum")/delta("fieldbridge_delivery_delay_seconds_count"),
		"ms-delay")
	b.ReportMetric(delta("fieldbridge_queue_data_blocks_total"), "data-blocks")
	b.ReportMetric(delta("fieldbridge_queue_commits_total"), "commits")
	b.ReportMetric(delta("fieldbridge_queue_syncs_total"), "fsyncs")
	b.ReportMetric(peakMemory(pid), "MiB-peak")
}

// peakMemory reads the peak resident memory of a process, in MiB (proc(5), VmHWM).
func peakMemory(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
