package awsiottest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// limited lets gateway-1 publish to open/#, subscribe to open/# and receive
// open/read.
var limited = rules.Policy{
	{Actions: []string{"iot:Connect"}, Resources: []string{"*"}},
	{Actions: []string{"iot:Publish"}, Resources: []string{"topic/open/*"}},
	{Actions: []string{"iot:Subscribe"}, Resources: []string{"topicfilter/open/*"}},
	{Actions: []string{"iot:Receive"}, Resources: []string{"topic/open/read"}},
}

func TestLine21PublishDenied(t *testing.T) {
	c, r := up(t, nil)
	c.SetPolicy(device(t, c, "gateway-1").ID, limited)
	r.publish("closed", 1, nil, nil)
	if code := r.puback(); code != 0x87 {
		t.Errorf("PUBACK 0x%02X", code)
	}
	r.publish("open/x", 1, nil, nil)
	if code := r.puback(); code != 0 {
		t.Errorf("PUBACK 0x%02X", code)
	}
}

func TestLine22QoS0Denied(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		c, r := up(t, func(o *Options) { o.IgnoreQoS0 = ignore })
		c.SetPolicy(device(t, c, "gateway-1").ID, limited)
		r.publish("closed", 0, nil, nil)
		if ignore {
			r.alive()
		} else if code := r.disconnected(); code != 0x87 {
			t.Errorf("DISCONNECT 0x%02X", code)
		}
	}
}

func TestLine23SubscribeDenied(t *testing.T) {
	c, r := up(t, nil)
	c.SetPolicy(device(t, c, "gateway-1").ID, limited)
	if codes := r.subscribe(1, "open/#", "closed", "open/x"); !bytes.Equal(codes, []byte{1, 0x87, 1}) {
		t.Errorf("SUBACK %x", codes)
	}
}

func TestLine24ReceiveDenied(t *testing.T) {
	c, r := up(t, nil)
	c.SetPolicy(device(t, c, "gateway-1").ID, limited)
	r.subscribe(1, "open/#")
	for _, topic := range []string{"open/secret", "open/read"} {
		if err := c.Publish(topic, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if m := r.message(); m.Topic != "open/read" {
		t.Errorf("got %v", m)
	}
}

func TestLine25PayloadSize(t *testing.T) {
	_, r := up(t, nil)
	r.publish("t", 1, make([]byte, 131072), nil)
	if code := r.puback(); code != 0 {
		t.Errorf("128 KiB: PUBACK 0x%02X", code)
	}
	r.publish("t", 1, make([]byte, 131073), nil)
	if code := r.disconnected(); code != 0x95 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine26PacketSize(t *testing.T) {
	_, r := up(t, nil)
	r.publish("t", 1, make([]byte, 149504), nil)
	if code := r.disconnected(); code != 0x95 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine27Topics(t *testing.T) {
	_, r := up(t, nil)
	for topic, want := range map[string]byte{
		strings.Repeat("x", 256): 0, strings.Repeat("x", 257): 0x90, "a/b/c/d/e/f/g/h": 0, "a/b/c/d/e/f/g/h/i": 0x90,
		"$aws/rules/x/a/b/c/d/e/f/g/h": 0, "$aws/rules/x/" + strings.Repeat("x", 256): 0, "$aws/rules/x/" +
			strings.Repeat("x", 257): 0x90,
		strings.Repeat("ü", 128): 0, strings.Repeat("ü", 129): 0x90,
	} {
		r.publish(topic, 1, nil, nil)
		if code := r.puback(); code != want {
			t.Errorf("%d bytes, %d slashes: 0x%02X, want 0x%02X", len(topic), strings.Count(topic, "/"), code, want)
		}
	}
	if codes := r.subscribe(1, strings.Repeat("x", 257), "a/b/c/d/e/f/g/h/i",
		"$share/group/a/b/c/d/e/f/g/h"); !bytes.Equal(codes, []byte{0x8F, 0x8F, 1}) {
		t.Errorf("SUBACK %x", codes)
	}
}

func TestLine28MessagesPerSecond(t *testing.T) {
	for _, mode := range []Throttle{ThrottleDrop, ThrottleRefuse} {
		inBubble(t, func(o *Options) { o.Throttle = mode }, func(t *testing.T, c *Cloud) {
			r := join(t, c, "gateway-1")
			for range 100 {
				r.publish("t", 1, nil, nil)
				if code := r.puback(); code != 0 {
					t.Fatalf("PUBACK 0x%02X", code)
				}
			}
			r.publish("t", 1, nil, nil)
			if mode == ThrottleDrop {
				r.quiet(time.Second)
			} else if code := r.puback(); code != 0x97 {
				t.Errorf("PUBACK 0x%02X", code)
			}
			if n := c.Counts().Published; n != 100 {
				t.Errorf("%d messages accepted", n)
			}
		})
	}
}

func TestLine29BytesPerSecond(t *testing.T) {
	inBubble(t, func(o *Options) { o.Throttle = ThrottleDrop }, func(t *testing.T, c *Cloud) {
		r := join(t, c, "gateway-1")
		begin := time.Now()
		for range 40 {
			r.publish("t", 1, make([]byte, 128<<10), nil)
			if code := r.puback(); code != 0 {
				t.Fatalf("PUBACK 0x%02X", code)
			}
		}
		// 5 MiB at half a MiB per second, after a burst of one second's worth.
		if took := time.Since(begin); took < 8500*time.Millisecond || took > 9500*time.Millisecond {
			t.Errorf("5 MiB took %v", took)
		}
	})
}

func TestLine30ReceiveMaximum(t *testing.T) {
	c, r := up(t, nil)
	c.Script(func(*Message) Verdict { return Verdict{Lose: true} })
	for range 101 {
		r.publish("t", 1, nil, nil)
	}
	if code := r.disconnected(); code != 0x93 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine31OurReceiveMaximum(t *testing.T) {
	for asked, want := range map[uint16]int{5: 5, 0: 100, 65535: 100} {
		c := start(t, nil)
		r := dial(t, c, device(t, c, "gateway-1"))
		r.connect("gateway-1", func(p *packets.Connect) {
			if asked > 0 {
				p.Properties.ReceiveMaximum = &asked
			}
		})
		r.subscribe(1, "t")
		for range 150 {
			if err := c.Publish("t", nil); err != nil {
				t.Fatal(err)
			}
		}
		for range want {
			if p := r.next(); p.Type != packets.PUBLISH {
				t.Fatalf("got %v", p)
			}
		}
		r.quiet(100 * time.Millisecond)
	}
}

func TestLine51Metering(t *testing.T) {
	c, r := up(t, nil)
	if n := c.Counts().OtherUnits; n != 1 {
		t.Errorf("a CONNECT is %d units", n)
	}
	for size, want := range map[int]uint64{1: 1, 5119: 1, 5120: 2, 5119 + 5120: 2, 5120 * 3: 4, 131072: 26} {
		before := c.Counts().Units
		r.publish("t", 1, make([]byte, size), nil) // the topic counts
		r.puback()
		if got := c.Counts().Units - before; got != want {
			t.Errorf("%d bytes are %d units, want %d", size+1, got, want)
		}
	}
	before := c.Counts().OtherUnits
	r.subscribe(1, "x")
	if err := c.Publish("x", make([]byte, 6000)); err != nil {
		t.Fatal(err)
	}
	r.message()
	r.alive()
	if got := c.Counts().OtherUnits - before; got != 1+2+1 {
		t.Errorf("a SUBSCRIBE, a delivery of 6,000 bytes and its PUBACK are %d units", got)
	}
}

func TestLine52Faults(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *Cloud) {
		r := dial(t, c, device(t, c, "gateway-1"))
		r.connect("gateway-1", func(p *packets.Connect) { p.KeepAlive = 1200 })
		c.Script(func(*Message) Verdict { return Verdict{Delay: 7 * time.Second} })
		begin := time.Now()
		r.publish("t", 1, nil, nil)
		time.Sleep(6 * time.Second)
		r.puback()
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("a PUBACK of 7s took %v", took)
		}
		c.Script(func(*Message) Verdict { return Verdict{Lose: true} })
		r.publish("t", 1, nil, nil)
		r.quiet(time.Minute)
		c.Script(nil)
		c.Dark()
		r.publish("t", 1, nil, nil)
		r.quiet(time.Minute)
		if n := c.Counts().Published; n != 2 {
			t.Errorf("%d messages accepted, one of them in the dark", n)
		}
		c.Light()
		if p := r.next(); p != nil {
			t.Errorf("got %v, want the connection broken", p)
		}
		r = join(t, c, "gateway-1")
		c.Script(func(*Message) Verdict { return Verdict{Drop: true} })
		r.publish("t", 1, nil, nil)
		if p := r.next(); p != nil {
			t.Errorf("got %v, want the connection broken", p)
		}
		if n := c.Counts().Published; n != 3 {
			t.Errorf("%d messages accepted", n)
		}
	})
}
