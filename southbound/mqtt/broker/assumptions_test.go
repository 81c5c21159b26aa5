package broker

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// What this room takes for granted of mochi's insides, each by itself and on a
// broker without this room's parts: a release of mochi that breaks one fails
// here, and says which, and not in the field. They were true of v2.7.9.

// probe is a hook that lets everybody in and does what a test wants.
type probe struct {
	mochi.HookBase
	publish func(cl *mochi.Client, pk packets.Packet) error
	encode  func(pk packets.Packet) packets.Packet
	letIn   func(cl *mochi.Client)

	mu    sync.Mutex
	calls []string // guarded by mu
}

func (p *probe) ID() string { return "probe" }

func (p *probe) Provides(b byte) bool {
	return slices.Contains([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish,
		mochi.OnPacketEncode, mochi.OnSessionEstablish, mochi.OnSessionEstablished, mochi.OnDisconnect}, b)
}

func (p *probe) called(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, name)
}

// made returns the calls so far.
func (p *probe) made() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

func (p *probe) OnConnect(*mochi.Client, packets.Packet) error { p.called("connect"); return nil }

func (p *probe) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool {
	p.called("authenticate")
	return true
}

func (p *probe) OnACLCheck(*mochi.Client, string, bool) bool { return true }

func (p *probe) OnSessionEstablish(*mochi.Client, packets.Packet) { p.called("establish") }

func (p *probe) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	p.called("established")
	if p.letIn != nil {
		p.letIn(cl)
	}
}

func (p *probe) OnDisconnect(*mochi.Client, error, bool) { p.called("disconnect") }

func (p *probe) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	p.called("publish " + pk.TopicName)
	if p.publish != nil {
		return pk, p.publish(cl, pk)
	}
	return pk, nil
}

func (p *probe) OnPacketEncode(_ *mochi.Client, pk packets.Packet) packets.Packet {
	p.called("encode " + packets.PacketNames[pk.FixedHeader.Type])
	if p.encode != nil {
		return p.encode(pk)
	}
	return pk
}

// bare is mochi with a probe.
func bare(t *testing.T, p *probe) *mochi.Server {
	t.Helper()
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.ReceiveMaximum = 4
	s := mochi.New(&mochi.Options{Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(p, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// enter connects a client as id, and returns it as seen from both sides.
func enter(t *testing.T, s *mochi.Server, version byte, id string) (*rig.Client, *mochi.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.EstablishConnection("test", there) // ends with the connection
	}()
	t.Cleanup(func() {
		_ = here.Close()
		<-done
	})
	c := rig.Over(t, here, version)
	c.Connect(id, 2)
	if kind, body := c.Read(); kind != 0x20 || body[1] != 0 {
		t.Fatalf("CONNECT answered by %#x %x", kind, body)
	}
	cl, ok := s.Clients.Get(id)
	if !ok {
		t.Fatal("a client that was let in is not among Clients")
	}
	c.Silent() // what is called when it is let in has been
	return c, cl
}

func subscribe(c *rig.Client, qos byte) {
	body := []byte{0, 1}
	if c.Version == 5 {
		body = append(body, 0)
	}
	c.Write(0x82, append(append(body, rig.String("#")...), qos))
	c.Read()
}

// All of a connection's hooks are called by the goroutine that serves it, in
// this order, and OnSessionEstablished before the first packet is read: conn has
// fields that are set in one and read in another without a lock.
func TestAssumeOrderOfHooks(t *testing.T) {
	p := &probe{}
	c, _ := enter(t, bare(t, p), 5, "c")
	c.Publish(2, 1, "t", "1")
	c.Expect(puback, 1)
	rig.Same(t, "calls", p.made(), []string{"connect", "authenticate", "establish", "encode Connack", "established",
		"encode Pingresp", "publish t", "encode Puback"})
}

// A PUBLISH that a hook rejects is not answered: acks does that, when it is safe.
func TestAssumeRejectedIsNotAnswered(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		c, cl := enter(t, bare(t, &probe{publish: func(*mochi.Client, packets.Packet) error {
			return packets.ErrRejectPacket
		}}), 5, "c")
		for id := range uint16(6) { // nor does it count against Receive Maximum, 4
			c.Publish(qos<<1, id+1, "t", "1")
		}
		c.Silent()
		if n := cl.State.Inflight.Len(); n != 0 {
			t.Errorf("QoS %d: %d messages in flight", qos, n)
		}
	}
}

// A PUBREC that others put in flight counts as mochi's own: the same PUBLISH is
// answered at once, as one whose id is in use, without asking the hooks; and
// PUBREL is answered and forgets it.
func TestAssumeInflightSet(t *testing.T) {
	p := &probe{publish: func(*mochi.Client, packets.Packet) error { return packets.ErrRejectPacket }}
	c, cl := enter(t, bare(t, p), 5, "c")
	cl.State.Inflight.Set(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Pubrec}, PacketID: 7, Created: time.Now().Unix()})
	c.Publish(12, 7, "t", "1")
	if kind, body := c.Read(); kind != pubrec || body[1] != 7 || body[2] != packets.ErrPacketIdentifierInUse.Code {
		t.Errorf("a repeated PUBLISH: got %#x %x, want PUBREC 0x91, which OnPacketEncode mends", kind, body)
	}
	c.Write(0x62, []byte{0, 7})
	if kind, body := c.Read(); kind != 0x70 || body[1] != 7 {
		t.Errorf("PUBREL: got %#x %x, want PUBCOMP", kind, body)
	}
	c.Silent()
	if n := cl.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages in flight after PUBREL", n)
	}
	if slices.Contains(p.made(), "publish t") {
		t.Error("hooks are asked about the repeated PUBLISH: it would be read twice")
	}
}

// What OnPacketEncode returns is sent.
func TestAssumeOnPacketEncode(t *testing.T) {
	c, _ := enter(t, bare(t, &probe{encode: func(pk packets.Packet) packets.Packet {
		if pk.FixedHeader.Type == packets.Puback {
			pk.ReasonCode = packets.ErrQuotaExceeded.Code
		}
		return pk
	}}), 5, "c")
	c.Publish(2, 1, "t", "1")
	if kind, body := c.Read(); kind != puback || !bytes.HasPrefix(body, []byte{0, 1, 0x97}) {
		t.Errorf("got %#x %x, want the code that the hook set, 0x97", kind, body)
	}
}

// waiting is a message that mochi has kept back until the client has room.
var waiting = packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, PacketID: 9,
	TopicName: "kept", Payload: []byte("1"), Expiry: -1}

// mochi looks for messages that it has kept back after each packet of a client
// that has room, and not after ResetSendQuota(0): then it neither counts nor
// looks, and cannot stop for ever in NextImmediate.
func TestAssumeSendQuota(t *testing.T) {
	for quota, looks := range map[int32]bool{1: true, 0: false} {
		c, cl := enter(t, bare(t, &probe{letIn: func(cl *mochi.Client) {
			cl.State.Inflight.ResetSendQuota(quota)
		}}), 4, "c")
		cl.State.Inflight.Set(waiting)
		if !looks {
			c.Silent()
			c.Silent() // nor after the first
			cl.State.Inflight.Delete(waiting.PacketID)
			subscribe(c, 1)
			for id := range uint16(3) { // all of them, though none is acknowledged
				c.Publish(2, id+1, "t", "1")
				got := map[byte]bool{}
				for range 2 { // its PUBACK and itself
					kind, _ := c.Read()
					got[kind&0xf0] = true
				}
				rig.Same(t, "with no quota", got, map[byte]bool{publish: true, puback: true})
			}
			continue
		}
		c.Write(0xc0, nil)
		got := map[byte]bool{}
		for range 2 { // in any order: the packet before may be at its end still
			kind, _ := c.Read()
			got[kind] = true
		}
		rig.Same(t, "with room", got, map[byte]bool{0xd0: true, publish | 2: true})
	}
}

// NextImmediate takes its read lock twice, and stops for ever with a publisher
// that asks for the lock in between. When this fails, mochi is mended and
// OnSessionEstablished needs no ResetSendQuota any more.
func TestAssumeNextImmediateStops(t *testing.T) {
	const child = "FIELDBRIDGE_TEST_NEXT_IMMEDIATE"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAssumeNextImmediateStops$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "stopped for ever") {
			t.Errorf("NextImmediate does not stop any more: %v\n%s", err, out)
		}
		return
	}
	inflight := mochi.NewInflights()
	var turns atomic.Int64
	for range 2 {
		go func() {
			for {
				inflight.NextImmediate()
				turns.Add(1)
			}
		}()
	}
	go func() {
		for {
			inflight.Set(waiting)
		}
	}()
	for range 30 {
		before := turns.Load()
		<-time.After(time.Second)
		if turns.Load() == before {
			_, _ = io.WriteString(os.Stdout, "stopped for ever\n")
			os.Exit(0) // its goroutines cannot be ended
		}
	}
	os.Exit(0)
}

// Info.Subscriptions is 0 unless somebody would get what is published.
func TestAssumeSubscriptionsAreCounted(t *testing.T) {
	s := bare(t, &probe{})
	count := func() int64 { return atomic.LoadInt64(&s.Info.Subscriptions) }
	if n := count(); n != 0 {
		t.Errorf("without subscribers: %d", n)
	}
	c, _ := enter(t, s, 5, "c")
	subscribe(c, 1)
	subscribe(c, 0) // the same again
	rig.Same(t, "subscriptions", count(), int64(1))
	c.Write(0xa2, append([]byte{0, 2, 0}, rig.String("#")...))
	c.Read()
	rig.Same(t, "after UNSUBSCRIBE", count(), int64(0))
	d, _ := enter(t, s, 4, "d")
	subscribe(d, 1)
	rig.Same(t, "subscriptions", count(), int64(1))
	_ = d.Conn.Close()
	rig.Until(t, "the session's end takes its subscriptions", func() bool { return count() == 0 })
}

// An inline client with another's id publishes in its name, in each QoS, without
// answers and without that client's limits; hooks see no connection.
func TestAssumeInlineClient(t *testing.T) {
	var connections atomic.Int64
	s := bare(t, &probe{publish: func(cl *mochi.Client, _ packets.Packet) error {
		if cl.Net.Conn != nil {
			connections.Add(1)
		}
		return nil
	}})
	c, _ := enter(t, s, 5, "c")
	c.Write(0x82, append(append([]byte{0, 1, 0}, rig.String("#")...), 1|4)) // but not its own: No Local
	c.Read()
	sub, _ := enter(t, s, 5, "sub")
	subscribe(sub, 2)
	voice := s.NewClient(nil, mochi.LocalListener, "c", true)
	voice.Properties.ProtocolVersion = 5
	const messages = 12 // more than Receive Maximum, 4
	for i := range messages {
		qos, id := byte(i%3), uint16(5)
		if qos == 0 {
			id = 0
		}
		err := s.InjectPacket(voice, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
			TopicName: "t", Payload: []byte("1"), PacketID: id})
		if err != nil {
			t.Fatal(err)
		}
		if kind, _ := sub.Read(); kind != publish|qos<<1 {
			t.Errorf("QoS %d: the subscriber gets %#x", qos, kind)
		}
	}
	c.Silent()
	if n := voice.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages in flight", n)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d messages seem to come over a connection", n)
	}
	if now, _ := s.Clients.Get("c"); now == voice {
		t.Error("the inline client has taken the other's place")
	}
}

// What mochi tests itself with is not kept in memory, and nothing but its tests reads it:
// the other tests of this room run without.
func TestMochisCasesAreForgotten(t *testing.T) {
	if n := len(packets.TPacketData); n > 0 {
		t.Errorf("%d kinds of packets are kept", n)
	}
}
