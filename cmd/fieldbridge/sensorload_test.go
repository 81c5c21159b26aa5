package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/pause"
)

// BenchmarkSensors measures the gateway between 200 sensor topics and the
// stand-in, over TLS, to one topic in columns:
//
//	go test -run '^$' -bench Sensors -benchtime 1x ./cmd/fieldbridge
//
// 50 connections publish with QoS 1 at the given rate for loadSpan. The cloud
// acknowledges after the round trip that is named. Reported are the gateway's
// CPU seconds per million messages, the delay from the gateway's broker to the
// cloud (from the messages themselves), what was lost, and the peak memory.
func BenchmarkSensors(b *testing.B) {
	const (
		aws    = "messages: 100, bytes: 512KiB" // AWS's limits
		lifted = "messages: 0, bytes: 0"
	)
	for _, load := range []struct {
		name   string
		rate   int
		rtt    time.Duration
		limits string
	}{
		{"2000", 2000, 0, aws}, {"10000", 10000, 0, aws},
		{"2000/rtt50ms", 2000, 50 * time.Millisecond, aws}, {"10000/rtt50ms", 10000, 50 * time.Millisecond, aws},
		{"2000/lifted", 2000, 0, lifted}, {"10000/lifted", 10000, 0, lifted},
		{"10000/lifted/rtt50ms", 10000, 50 * time.Millisecond, lifted},
	} {
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				measureSensors(b, load.rate, load.rtt, load.limits)
			}
		})
	}
}

const (
	sensorConnections = 50
	sensorTopics      = 200
)

// columnsArrivals counts what arrives in format columns, with its delay.
type columnsArrivals struct {
	mu     sync.Mutex
	count  int
	delays []float64 // in ms
}

func (a *columnsArrivals) add(m awsiottest.Message) {
	var columns struct {
		Devices []struct {
			At []int64
		}
	}
	if json.Unmarshal(m.Payload, &columns) != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := m.At.UnixMilli()
	for _, d := range columns.Devices {
		at := int64(0)
		for _, difference := range d.At {
			at += difference
			a.count++
			a.delays = append(a.delays, float64(now-at))
		}
	}
}

func measureSensors(b *testing.B, rate int, rtt time.Duration, limits string) {
	bin, err := releaseBinary()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	arrived := &columnsArrivals{}
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"), OnPublish: arrived.add})
	if err != nil {
		b.Fatal(err)
	}
	defer cloud.Close()
	if rtt > 0 {
		cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: rtt} })
	}
	if _, err := cloud.Device("load"); err != nil {
		b.Fatal(err)
	}
	broker, console := needtest.Address(b), needtest.Address(b)
	config := fmt.Sprintf(`gateway: load
northbound: {awsiot: {endpoint: %q, server_name: localhost, certificate: certs/load.pem,
    private_key: certs/load.key, ca: certs/ca.pem, topic: "load/{gateway}", format: columns, max_message: 100KiB,
    window: 100, rate: {%s}}}
store: {dir: queue}
southbound:
  mqtt:
    brokers: {local: {listen: %q}}
    sensors: {hall: {broker: local, topic: "hall/{device}/temperature", point: temperature}}
console: {listen: %q}
`, cloud.Addr(), limits, broker, console)
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
	for !listening(broker)() || scrapeAt(console) == nil || len(cloud.Connected()) == 0 {
		time.Sleep(50 * time.Millisecond) // between two looks at another process
	}
	before := scrapeAt(console)
	acked := publishFrom(b, broker, rate)
	deadline := time.Now().Add(20 * time.Second)
	for scrapeAt(console)["fieldbridge_queue_waiting_readings"] > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	after := scrapeAt(console)
	if after == nil {
		b.Fatalf("gateway is gone: %s", tail(log.String(), 3000))
	}
	arrived.mu.Lock()
	defer arrived.mu.Unlock()
	slices.Sort(arrived.delays)
	n := len(arrived.delays)
	if n == 0 {
		b.Fatalf("nothing arrived: %s", tail(log.String(), 3000))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/float64(n)*1e6,
		"cpu-s/Mmessages")
	b.ReportMetric(float64(acked)/loadSpan.Seconds(), "acked/s")
	b.ReportMetric((after["fieldbridge_messages_total"]-before["fieldbridge_messages_total"])/loadSpan.Seconds(),
		"published/s")
	b.ReportMetric(float64(max(0, acked-n)), "lost")
	b.ReportMetric(arrived.delays[n/2], "ms-p50")
	b.ReportMetric(arrived.delays[n*99/100], "ms-p99")
	b.ReportMetric((after["fieldbridge_message_bytes_total"]-before["fieldbridge_message_bytes_total"])/float64(n),
		"bytes/reading")
	b.ReportMetric(after["fieldbridge_queue_data_blocks_total"]-before["fieldbridge_queue_data_blocks_total"],
		"data-blocks")
	b.ReportMetric(peakMemory(gateway.Process.Pid), "MiB-peak")
}

// publishFrom publishes at rate messages a second in all for loadSpan and
// returns how many were acknowledged.
func publishFrom(b *testing.B, broker string, rate int) int {
	var acked atomic.Int64
	var wg sync.WaitGroup
	for c := range sensorConnections {
		wg.Go(func() {
			n, err := rawSensor(broker, c, rate/sensorConnections)
			acked.Add(int64(n))
			if err != nil {
				b.Errorf("sensor %d: %v", c, err)
			}
		})
	}
	wg.Wait()
	return int(acked.Load())
}

// rawSensor is one MQTT 3.1.1 connection that publishes with QoS 1 and a window
// of 200, with as little CPU as possible. It returns what was acknowledged.
func rawSensor(broker string, number, rate int) (acked int, err error) {
	conn, err := net.Dial("tcp", broker)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	id := fmt.Sprintf("load-%d", number)
	connect := append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}, id...)
	if _, err := conn.Write(connect); err != nil {
		return 0, err
	}
	in := bufio.NewReader(conn)
	if _, err := io.ReadFull(in, make([]byte, 4)); err != nil {
		return 0, err
	}
	window := make(chan struct{}, 200)
	ctx, cancel := context.WithTimeout(context.Background(), loadSpan)
	defer cancel()
	sent := make(chan error, 1)
	var total atomic.Int64
	go func() {
		sent <- rawPublish(ctx, conn, number, rate, window, &total)
	}()
	ack := make([]byte, 4)
	finished := false
	for {
		if finished && int64(acked) >= total.Load() {
			return acked, nil
		}
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := io.ReadFull(in, ack); err == nil {
			acked++
			<-window
			continue
		} else if !os.IsTimeout(err) {
			return acked, err
		}
		select {
		case err := <-sent:
			if err != nil {
				return acked, err
			}
			finished = true
			time.AfterFunc(30*time.Second, func() { conn.Close() }) // what is still missing then is lost
		default:
		}
	}
}

// rawPublish writes numbered messages at rate until ctx ends.
func rawPublish(ctx context.Context, conn net.Conn, number, rate int, window chan struct{}, total *atomic.Int64) error {
	start := time.Now()
	var packet []byte
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > time.Millisecond && !pause.Sleep(ctx, wait) || ctx.Err() != nil {
			return nil
		}
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		topic := fmt.Sprintf("hall/s%d/temperature", (number+n*sensorConnections)%sensorTopics)
		value := fmt.Sprintf("%.1f", 20+float64(n%100)/10)
		packet = append(packet[:0], 0x32, byte(4+len(topic)+len(value)))
		packet = binary.BigEndian.AppendUint16(packet, uint16(len(topic)))
		packet = append(packet, topic...)
		packet = binary.BigEndian.AppendUint16(packet, uint16(n%65535)+1)
		packet = append(packet, value...)
		if _, err := conn.Write(packet); err != nil {
			return err
		}
		total.Add(1)
	}
}
