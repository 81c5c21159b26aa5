package modbus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// overLine is the first configuration over a serial port.
func overLine(port string, baud int) setup.Config {
	cfg := firstRun("rtu://" + port)
	b := cfg.Buses["plc"]
	b.Baud, b.Parity = baud, "none"
	cfg.Buses["plc"] = b
	return cfg
}

// serialPair returns two serial ports that are connected, and how to unplug
// them.
func serialPair(t *testing.T, a, b string) (unplug func()) {
	t.Helper()
	needPeer(t, "socat", "socat", "-V")
	cmd := exec.Command("socat", "pty,raw,echo=0,link="+a, "pty,raw,echo=0,link="+b)
	cmd.Stderr = testLog{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	unplug = func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.Remove(a)
		os.Remove(b)
	}
	t.Cleanup(unplug)
	eventually(t, "the ports", func() bool {
		_, err1 := os.Stat(a)
		_, err2 := os.Stat(b)
		return err1 == nil && err2 == nil
	})
	return unplug
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: not in a minute", what)
		}
	}
}

func TestLineWithPymodbus(t *testing.T) {
	t.Parallel()
	needPymodbus(t)
	ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	serialPair(t, ours, theirs)
	start(t, "/usr/bin/python3", "testdata/pymodbus_server.py", "rtu", theirs, "19200")
	if got := values(firstGood(t, overLine(ours, 19200), "boiler")); got != firstRunValues {
		t.Errorf("got  %s\nwant %s", got, firstRunValues)
	}
}

// libmodbusServer builds the server of testdata.
func libmodbusServer(t *testing.T) string {
	t.Helper()
	needPeer(t, "libmodbus-dev and a C compiler", "sh", "-c", "command -v cc && test -e /usr/include/modbus/modbus.h")
	server := filepath.Join(t.TempDir(), "server")
	if out, err := exec.Command("cc", "-I/usr/include/modbus", "-o", server, "testdata/libmodbus_server.c",
		"-lmodbus").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return server
}

func TestLibmodbus(t *testing.T) {
	t.Parallel()
	server := libmodbusServer(t)
	t.Run("tcp", func(t *testing.T) {
		port := strconv.Itoa(needtest.Port(t))
		start(t, server, "tcp", port)
		if got := values(firstGood(t, firstRun("tcp://127.0.0.1:"+port), "boiler")); got != firstRunValues {
			t.Errorf("got  %s\nwant %s", got, firstRunValues)
		}
	})
	t.Run("rtu", func(t *testing.T) {
		ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
		serialPair(t, ours, theirs)
		start(t, server, "rtu", theirs, "115200")
		if got := values(firstGood(t, overLine(ours, 115200), "boiler")); got != firstRunValues {
			t.Errorf("got  %s\nwant %s", got, firstRunValues)
		}
	})
}

// firstRunUnit gives a simulated unit the registers of the first configuration.
func firstRunUnit(u *modbustest.Unit) {
	u.Set(modbustest.Input, 0, modbustest.Float32(71.5)...)
	u.Set(modbustest.Input, 2, 65536-213)
	u.Set(modbustest.Holding, 100, 1234567&0xffff, 1234567>>16)
	u.Set(modbustest.Holding, 40, 1<<3)
	u.SetBit(modbustest.Coil, 3, true)
	u.SetBit(modbustest.Discrete, 7, true)
}

func TestConverter(t *testing.T) {
	t.Parallel()
	sim := modbustest.New()
	sim.Framing = modbustest.RTU
	firstRunUnit(sim.Unit(1))
	if got := values(firstGood(t, firstRun("rtu+tcp://"+sim.Start(t)), "boiler")); got != firstRunValues {
		t.Errorf("got  %s\nwant %s", got, firstRunValues)
	}
}

// TestUnplugged: a USB adapter that goes away and comes back is found again.
func TestUnplugged(t *testing.T) {
	t.Parallel()
	ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	sim := modbustest.New()
	sim.Framing = modbustest.RTU
	firstRunUnit(sim.Unit(1))
	serve := func() {
		f, err := os.OpenFile(theirs, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		go sim.ServeConn(t.Context(), modbustest.Conn(f))
	}
	unplug := serialPair(t, ours, theirs)
	serve()
	source, err := New(overLine(ours, 115200), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Run(ctx, func(bridge.Batch, func(error)) {})
	}()
	defer func() { cancel(); <-done }()
	good := func() bool { d := source.Devices()[0]; return d.Good == 6 && d.Bad == 0 }
	eventually(t, "good readings", good)
	unplug()
	eventually(t, "bad readings", func() bool { return source.Devices()[0].Bad == 6 })
	if d := source.Devices()[0]; d.Reason != "unreachable" || !strings.Contains(d.Detail, "no such file") {
		t.Errorf("unplugged: %+v", d)
	}
	serialPair(t, ours, theirs)
	serve()
	eventually(t, "good readings after it was plugged in", good)
}

// TestTLS runs against OpenSSL, by socat: mutual TLS, and both ways to refuse.
func TestTLS(t *testing.T) {
	t.Parallel()
	needPeer(t, "socat", "socat", "-V")
	needPeer(t, "openssl", "openssl", "version")
	dir := t.TempDir()
	authority(t, dir, "plant")
	authority(t, dir, "other")
	issue(t, dir, "plant", "plc-8")
	issue(t, dir, "plant", "gateway")
	issue(t, dir, "other", "stranger")
	file := func(name string) setting.Path { return setting.Path(filepath.Join(dir, name)) }

	sim := modbustest.New()
	firstRunUnit(sim.Unit(1))
	port := strconv.Itoa(needtest.Port(t))
	start(t, "socat", fmt.Sprintf("openssl-listen:%s,bind=127.0.0.1,reuseaddr,fork,cert=%s,key=%s,cafile=%s,verify=1",
		port, file("plc-8.pem"), file("plc-8.key"), file("plant.pem")), "tcp:"+sim.Start(t))

	config := func(ca, who, name string) setup.Config {
		cfg := firstRun("tls://127.0.0.1:" + port)
		b := cfg.Buses["plc"]
		b.TLS = &setup.TLS{CA: file(ca + ".pem"), Certificate: file(who + ".pem"), PrivateKey: file(who + ".key"),
			ServerName: name}
		cfg.Buses["plc"] = b
		return cfg
	}
	if got := values(firstGood(t, config("plant", "gateway", "plc-8"), "boiler")); got != firstRunValues {
		t.Errorf("got  %s\nwant %s", got, firstRunValues)
	}
	pinned := config("", "gateway", "")
	pinned.Buses["plc"].TLS.CA = ""
	pinned.Buses["plc"].TLS.Fingerprint = fingerprint(t, file("plc-8.pem"))
	if got := values(firstGood(t, pinned, "boiler")); got != firstRunValues {
		t.Errorf("by fingerprint: got  %s\nwant %s", got, firstRunValues)
	}
	strange := config("", "gateway", "")
	strange.Buses["plc"].TLS.CA = ""
	strange.Buses["plc"].TLS.Fingerprint = fingerprint(t, file("stranger.pem"))
	for name, cfg := range map[string]setup.Config{
		"another fingerprint": strange,
		"unknown authority":   config("other", "gateway", "plc-8"),
		"wrong name":          config("plant", "gateway", "plc-9"),
		"refused":             config("plant", "stranger", "plc-8"),
	} {
		if got := firstReason(t, cfg); got != "certificate" {
			t.Errorf("%s: %s, want certificate", name, got)
		}
	}
}

// firstReason returns why the first batch is bad that is not for want of time.
func firstReason(t *testing.T, cfg setup.Config) string {
	t.Helper()
	source, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reason := "none"
	source.Run(ctx, func(b bridge.Batch, _ func(error)) {
		if reason = b.Readings[0].Value.Reason().String(); reason != bridge.ReasonTimeout.String() {
			cancel()
		}
	})
	return reason
}

func fingerprint(t *testing.T, certificate setting.Path) setting.Fingerprint {
	t.Helper()
	out, err := exec.Command("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", string(certificate)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return setting.Fingerprint(strings.TrimSpace(string(out)))
}

func authority(t *testing.T, dir, name string) {
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN="+name, "-keyout", name+".key", "-out", name+".pem")
}

func issue(t *testing.T, dir, ca, name string) {
	openssl(t, dir, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN="+name,
		"-keyout", name+".key", "-out", name+".csr", "-addext", "subjectAltName=DNS:"+name)
	if err := os.WriteFile(filepath.Join(dir, "ext"), []byte("subjectAltName=DNS:"+name), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(t, dir, "x509", "-req", "-in", name+".csr", "-CA", ca+".pem", "-CAkey", ca+".key", "-CAcreateserial",
		"-days", "2", "-extfile", "ext", "-out", name+".pem")
}

func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// TestPortInUse: two masters on one line would spoil each other's answers.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	serialPair(t, ours, theirs)
	spec := setup.Resolve(overLine(ours, 9600)).Buses["rtu://"+ours]
	port, err := spec.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := spec.Dial(t.Context()); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("opened twice: %v, %v", again, err)
	}
	port.Close()
	spec.Turns = true // a pseudo-terminal has no direction
	if _, err := spec.Dial(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "rs485: the driver cannot turn the direction") {
		t.Errorf("rs485: %v", err)
	}
	spec.Turns, spec.Serial.Baud, spec.Serial.StopBits, spec.Serial.DataBits, spec.Serial.Parity = false, 250_000, 2, 7,
		"odd"
	port, err = spec.Dial(t.Context()) // no standard rate
	if err != nil {
		t.Fatal(err)
	}
	port.Close()
}

func TestNoSuchPort(t *testing.T) {
	_, err := setup.Resolve(overLine("/dev/no-such-port", 9600)).Buses["rtu:///dev/no-such-port"].Dial(t.Context())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want that there is no such port", err)
	}
}
