package awsiottest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

func TestLine32FiltersPerSubscribe(t *testing.T) {
	_, r := up(t, nil)
	filters := strings.Split("a b c d e f g h i", " ")
	if codes := r.subscribe(1, filters[:8]...); len(codes) != 8 {
		t.Errorf("SUBACK %x", codes)
	}
	r.trySubscribe(1, filters...)
	if code := r.disconnected(); code != 0x97 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine33Subscriptions(t *testing.T) {
	_, r := up(t, nil)
	for i := range 51 {
		want := byte(1)
		if i == 50 {
			want = 0x97
		}
		if codes := r.subscribe(1, fmt.Sprint("t", i)); codes[0] != want {
			t.Errorf("subscription %d: 0x%02X", i+1, codes[0])
		}
	}
	if codes := r.subscribe(0, "t7"); codes[0] != 0 {
		t.Errorf("a known one again: 0x%02X", codes[0])
	}
}

func TestLine34QoS2(t *testing.T) {
	_, r := up(t, nil)
	r.trySubscribe(2, "t")
	r.quiet(100 * time.Millisecond)
	r.publish("t", 2, nil, nil)
	if code := r.disconnected(); code != 0x9B {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine35SubscriptionIdentifier(t *testing.T) {
	_, r := up(t, nil)
	cp := packets.NewControlPacket(packets.SUBSCRIBE)
	s := cp.Content.(*packets.Subscribe)
	id := 7
	s.PacketID, s.Properties.SubscriptionIdentifier = 1, &id
	s.Subscriptions = []packets.SubOptions{{Topic: "t", QoS: 1}}
	r.write(cp)
	if code := r.disconnected(); code != 0xA1 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine36Aliases(t *testing.T) {
	alias := func(n uint16) func(*packets.Publish) {
		return func(p *packets.Publish) { p.Properties.TopicAlias = &n }
	}
	c, r := up(t, nil)
	watcher := join(t, c, "gateway-2")
	watcher.subscribe(0, "#")
	r.publish("t", 1, []byte("1"), alias(8))
	r.puback()
	r.publish("", 1, []byte("2"), alias(8))
	r.puback()
	for range 2 {
		if m := watcher.message(); m.Topic != "t" {
			t.Errorf("topic %q", m.Topic)
		}
	}
	r.publish("t", 1, nil, alias(9))
	if code := r.disconnected(); code != 0x94 {
		t.Errorf("alias 9: 0x%02X", code)
	}
	again := join(t, c, "gateway-1")
	again.publish("", 1, nil, alias(8))
	if code := again.disconnected(); code != 0x82 {
		t.Errorf("an alias of an earlier connection: 0x%02X", code)
	}
}

func TestLine37HashIsNotTheParent(t *testing.T) {
	c, r := up(t, nil)
	r.subscribe(0, "a/#")
	for _, topic := range []string{"a", "a/", "a/b/c"} {
		if err := c.Publish(topic, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a/", "a/b/c"} {
		if m := r.message(); m.Topic != want {
			t.Errorf("got %q, want %q", m.Topic, want)
		}
	}
}

func TestLine38Retained(t *testing.T) {
	inBubble(t, func(o *Options) { o.Throttle = ThrottleRefuse }, func(t *testing.T, c *Cloud) {
		r := join(t, c, "gateway-1")
		retain := func(p *packets.Publish) { p.Retain = true }
		for _, tt := range []struct {
			topic string
			wait  time.Duration
			want  byte
		}{
			{"plant/r", 0, 0}, {"plant/r", 0, 0x97}, {"plant/r", time.Second, 0}, {"$aws/rules/x/y", 0, 0x87},
		} {
			time.Sleep(tt.wait)
			r.publish(tt.topic, 1, []byte("kept"), retain)
			if code := r.puback(); code != tt.want {
				t.Errorf("retain on %s after %v: 0x%02X, want 0x%02X", tt.topic, tt.wait, code, tt.want)
			}
		}
		r.subscribe(1, "plant/#")
		r.quiet(time.Second)
		r.subscribe(1, "plant/r")
		if m := r.message(); string(m.Payload) != "kept" || !m.Retain {
			t.Errorf("got %v", m)
		}
		id := device(t, c, "gateway-1")
		c.SetPolicy(id.ID, append(rules.Policy{{Deny: true, Actions: []string{"iot:RetainPublish"},
			Resources: []string{"*"}}}, rules.DefaultPolicy...))
		r.publish("plant/q", 1, nil, retain)
		if code := r.puback(); code != 0x87 {
			t.Errorf("without iot:RetainPublish: 0x%02X", code)
		}
	})
}

func TestLine39MessageExpiry(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *Cloud) {
		r, id := join(t, c, "gateway-1"), device(t, c, "gateway-2")
		lives := func(seconds uint32) func(*packets.Publish) {
			return func(p *packets.Publish) { p.Properties.MessageExpiry = &seconds }
		}
		watcher := dial(t, c, id)
		watcher.connect("gateway-2", expires(3600, true))
		watcher.subscribe(1, "t")
		for sent, want := range map[uint32]uint32{0: 1, 100: 100, 604801: 604800} {
			r.publish("t", 1, nil, lives(sent))
			r.puback()
			if m := watcher.message(); m.Properties.MessageExpiry == nil || *m.Properties.MessageExpiry != want {
				t.Errorf("expiry %d arrives as %v, want %d", sent, m.Properties.MessageExpiry, want)
			}
		}
		watcher.alive() // its PUBACKs have arrived
		c.Drop("gateway-2")
		watcher.next()
		for _, seconds := range []uint32{10, 100} {
			r.publish("t", 1, fmt.Append(nil, seconds), lives(seconds))
			r.puback()
		}
		time.Sleep(40 * time.Second)
		r.alive()
		again := dial(t, c, id)
		again.connect("gateway-2", expires(3600, false))
		m := again.message()
		if left := m.Properties.MessageExpiry; string(m.Payload) != "100" || left == nil || *left < 55 || *left > 60 {
			t.Errorf("got %s with %v seconds left", m.Payload, left)
		}
		again.quiet(time.Second)
	})
}

func TestLine40DuplicatesAndReordering(t *testing.T) {
	c, r := up(t, nil)
	r.subscribe(1, "t")
	c.Duplicate(true)
	r.publish("t", 1, []byte("x"), nil)
	var ids []uint16
	acked := false
	for range 3 {
		p := r.next()
		if p.Type == packets.PUBACK {
			acked = true
			continue
		}
		m := p.Content.(*packets.Publish)
		ids = append(ids, m.PacketID)
		if m.Duplicate || string(m.Payload) != "x" {
			t.Errorf("got %v", m)
		}
	}
	if !acked || len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("acknowledged %v, packet ids %v", acked, ids)
	}
	c.Duplicate(false)
	first := true
	c.Script(func(*Message) Verdict {
		defer func() { first = false }()
		if first {
			return Verdict{Delay: 50 * time.Millisecond}
		}
		return Verdict{}
	})
	r.publish("other", 1, nil, nil)
	r.publish("other", 1, nil, nil)
	one, two := r.next().Content.(*packets.Puback), r.next().Content.(*packets.Puback)
	if one.PacketID != two.PacketID+1 {
		t.Errorf("PUBACKs %d, %d: not out of order", one.PacketID, two.PacketID)
	}
}

func TestLine41ReservedTopics(t *testing.T) {
	for _, topic := range []string{"$aws/unknown", "$other/x", "$aws/things/another/shadow/get"} {
		_, r := up(t, nil)
		r.publish(topic, 1, nil, nil)
		if code := r.disconnected(); code != 0x87 {
			t.Errorf("%s: DISCONNECT 0x%02X", topic, code)
		}
	}
	_, r := up(t, nil)
	if codes := r.subscribe(1, "$aws/unknown/#"); codes[0] != 0x8F {
		t.Errorf("SUBACK %x", codes)
	}
}

func TestLine42BasicIngest(t *testing.T) {
	c, r := up(t, nil)
	if codes := r.subscribe(0, "$aws/rules/#", "#"); !bytes.Equal(codes, []byte{0x8F, 0}) {
		t.Errorf("SUBACK %x", codes)
	}
	var got []string
	c.Rule("known", func(m Message) { got = append(got, m.Topic) })
	for _, topic := range []string{"$aws/rules/known/a", "$aws/rules/unknown/a"} {
		r.publish(topic, 1, nil, nil)
		if code := r.puback(); code != 0 {
			t.Errorf("%s: PUBACK 0x%02X", topic, code)
		}
	}
	r.quiet(50 * time.Millisecond)
	if len(got) != 1 || c.Counts().RuleNotFound != 1 {
		t.Errorf("the rule got %v, %d had no rule", got, c.Counts().RuleNotFound)
	}
}
