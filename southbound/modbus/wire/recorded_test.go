package wire_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"fieldbridge/blackbox"
	"fieldbridge/southbound/modbus/wire"
)

// What is recorded is what passed, and a stream that is recorded still shows that
// its peer hung up: a request that writes would be lost else.
func TestRecorded(t *testing.T) {
	sim, _, address := numbered(t)
	r := blackbox.New()
	at := wire.Address{Scheme: "tcp", Host: address}
	dial := wire.Recorded(dialer(address), "plc", at, r)
	link := wire.NewTCP(wire.Options{Dial: dial, ConnectTimeout: patient})
	t.Cleanup(link.Close)
	client := wire.NewClient(link)
	client.To(t.Context(), 1, patient)
	if _, err := client.Read(wire.Holding, 7, 2); err != nil {
		t.Fatal(err)
	}
	sim.Refuse() // hangs up
	if err := sim.Accept(); err != nil {
		t.Fatal(err)
	}
	accepted := sim.Accepted()
	if _, err := client.Raw([]byte{6, 0, 7, 0, 1}); err != nil {
		t.Errorf("a write on a connection that was closed: %v", err)
	}
	if sim.Accepted() != accepted+1 {
		t.Error("it was not made anew")
	}
	sim.Refuse()
	link.Drop()
	if _, err := client.Read(wire.Holding, 7, 2); err == nil {
		t.Error("nobody is there")
	}
	var got strings.Builder
	for _, f := range r.Recordings()[0].Frames {
		if f.Direction == blackbox.Note {
			fmt.Fprintf(&got, "%s\n", f.Data)
			continue
		}
		fmt.Fprintf(&got, "%c %s\n", f.Direction, wire.Meaning(at, f.Data))
	}
	want := `connected
> unit 1, read holding registers 7, 2
< unit 1, read holding registers: 4 bytes of data
connected
> unit 1, write register 7, 1
< unit 1, write register 7, 1
connect: connection refused
`
	if got.String() != want {
		t.Errorf("recorded:\n%swant\n%s", got.String(), want)
	}
}

// still is a stream that takes no time.
type still struct{ wire.Stream }

func (still) Write(b []byte) (int, error) { return len(b), nil }
func (still) Read(b []byte) (int, error)  { return len(b), nil }

// BenchmarkRecorded is what it costs to record a request for 125 registers and its
// answer; BenchmarkRead125 is what they take over loopback.
func BenchmarkRecorded(b *testing.B) {
	dial := wire.Recorded(func(context.Context) (wire.Stream, error) { return still{}, nil }, "plc",
		wire.Address{Scheme: "tcp", Host: "plc"}, blackbox.New())
	stream, err := dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	request, answer := make([]byte, 12), make([]byte, 259)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = stream.Write(request)
		_, _ = stream.Read(answer)
	}
}
