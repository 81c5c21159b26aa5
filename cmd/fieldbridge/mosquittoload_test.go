package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// BenchmarkMosquitto measures what mosquitto's bridge takes to do the work of
// BenchmarkSensors without limits, one message to the cloud for each of a sensor:
//
//	go test -run '^$' -bench Mosquitto -benchtime 1x ./cmd/fieldbridge
func BenchmarkMosquitto(b *testing.B) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		b.Skip("mosquitto is not installed")
	}
	for _, rate := range []int{2000, 10000} {
		b.Run(strconv.Itoa(rate), func(b *testing.B) {
			for b.Loop() {
				measureMosquitto(b, program, rate)
			}
		})
	}
}

func measureMosquitto(b *testing.B, program string, rate int) {
	dir := b.TempDir()
	var arrived atomic.Int64
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"),
		OnPublish: func(awsiottest.Message) { arrived.Add(1) }})
	if err != nil {
		b.Fatal(err)
	}
	defer cloud.Close()
	if _, err := cloud.Device("load"); err != nil {
		b.Fatal(err)
	}
	broker := needtest.Address(b)
	_, port, _ := net.SplitHostPort(broker)
	config := fmt.Sprintf(`listener %s 127.0.0.1
allow_anonymous true
max_inflight_messages 100
max_queued_messages 0
connection cloud
address %s
remote_clientid load
topic hall/# out 1
bridge_cafile certs/ca.pem
bridge_certfile certs/load.pem
bridge_keyfile certs/load.key
bridge_insecure true
bridge_protocol_version mqttv50
notifications false
try_private false
`, port, cloud.Addr())
	if os.Geteuid() == 0 {
		config += "user root\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "bridge.conf"), []byte(config), 0o644); err != nil {
		b.Fatal(err)
	}
	mosquitto := exec.Command(program, "-c", "bridge.conf")
	mosquitto.Dir = dir
	log := &output{}
	mosquitto.Stderr = log
	if err := mosquitto.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { mosquitto.Process.Kill(); mosquitto.Wait() }()
	// another process
	for deadline := time.Now().Add(20 * time.Second); len(cloud.Connected()) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("no connection to the cloud: %s", tail(log.String(), 3000))
		}
	}
	before := cpuSeconds(b, mosquitto.Process.Pid)
	acked := publishFrom(b, broker, rate)
	for deadline := time.Now().Add(20 * time.Second); arrived.Load() < int64(acked) && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((cpuSeconds(b, mosquitto.Process.Pid)-before)/float64(acked)*1e6, "cpu-s/Mmessages")
	b.ReportMetric(float64(max(0, acked-int(arrived.Load()))), "lost")
	b.ReportMetric(peakMemory(mosquitto.Process.Pid), "MiB-peak")
}

// cpuSeconds returns the user and system time of a process (proc(5), stat), in
// which a clock tick is 10 ms.
func cpuSeconds(b *testing.B, pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	ticks := 0.0
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return ticks / 100
}
