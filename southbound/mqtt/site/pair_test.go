package site

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// configured returns a client of a broker with a configuration.
func configured(b inlet.Broker, filters ...string) *Client {
	c := New("site", b, "g", slog.New(slog.DiscardHandler), &rig.Memory{})
	c.Want(wanted(filters...))
	return c
}

// The second address of a pair is tried at once when the first does not answer, and
// the first again when the second is gone; if none does, both are told.
func TestCaseS07(t *testing.T) {
	first, second := rig.StartMosquitto(t), rig.StartMosquitto(t)
	first.Stop()
	r := &recorder{}
	var c *Client
	for try := 0; ; try++ { // a busy machine may be slow more than once
		c = configured(inlet.Broker{URL: inlet.Addresses{"mqtt://" + first.Addr, "mqtt://" + second.Addr}}, "w/+/+")
		begin := time.Now()
		stop := run(t, c, r.ingest)
		connected(t, c)
		d := time.Since(begin)
		if d < 900*time.Millisecond {
			break
		}
		if try == 10 {
			t.Fatalf("the second was tried after %s", d)
		}
		stop()
	}
	rig.Mosquitto(t, "mosquitto_pub", second.Addr, "-q", "1", "-t", "w/a/p", "-m", "2")
	r.wait(t, 1)
	first.Start()
	second.Stop()
	rig.Until(t, "the first has it", func() bool { return c.url() == "mqtt://"+first.Addr && c.Counts().Connected })
	rig.Mosquitto(t, "mosquitto_pub", first.Addr, "-q", "1", "-t", "w/a/p", "-m", "1")
	rig.Same(t, "readings", r.wait(t, 2), []string{"w/a/p=2", "w/a/p=1"})
	first.Stop()
	rig.Until(t, "both are told", func() bool {
		h := c.Health()
		return len(h) == 1 && strings.Contains(h[0].Text, first.Addr) && strings.Contains(h[0].Text, second.Addr)
	})
}

// What a device wants to hear is sent when the connection begins, and at intervals.
func TestCaseS08(t *testing.T) {
	for name, old := range map[string]bool{"MQTT 5": false, "MQTT 3.1.1": true} {
		t.Run(name, func(t *testing.T) {
			b := rig.StartMosquitto(t)
			address := b.Addr
			if old {
				address = ageing(t, b.Addr, []byte{0x20, 2, 0, 1})
			}
			r := &recorder{}
			// It hears itself: what it sends is what its subscription brings.
			c := configured(inlet.Broker{URL: inlet.Addresses{"mqtt://" + address}, Publish: []inlet.Publish{
				{Topic: "R/c0619ab1/keepalive", Every: setting.Duration(time.Second)},
				{Topic: "R/c0619ab1/system/0/Serial", Payload: "x", Every: setting.Duration(time.Hour)}}}, "R/#")
			run(t, c, r.ingest)
			rig.Until(t, "three times", func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return len(slices.DeleteFunc(slices.Clone(r.heard), func(m string) bool {
					return m != "R/c0619ab1/keepalive="
				})) >= 3
			})
			r.mu.Lock()
			defer r.mu.Unlock()
			if n := strings.Count(strings.Join(r.heard, " "), "Serial=x"); n != 1 {
				t.Errorf("the hourly one came %d times: %v", n, r.heard)
			}
		})
	}
}

// Another client that takes our id at a broker that says nothing of it is told from
// the third time on, and we come back more and more seldom.
func TestCaseS10(t *testing.T) {
	b := rig.StartMosquitto(t)
	c := configured(inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}, ClientID: "press-line-2-south"}, "w/+/+")
	run(t, c, (&recorder{}).ingest)
	rig.Until(t, "the explanation", func() bool {
		if c.Counts().Connected { // it is thrown out, and comes back at once
			_ = rig.Dial(t, b.Addr, 5, "press-line-2-south").Conn.Close()
		}
		h := c.Health()
		return len(h) == 1 && strings.Contains(h[0].Text, "another client") && strings.Contains(h[0].Text, "client_id") &&
			strings.Contains(h[0].Text, `"press-line-2-south"`)
	})
	connected(t, c)
	if h := c.Health(); len(h) != 1 {
		t.Errorf("while it is connected in between: %v", h)
	}
}

// TestClones: what is told of each way in which connections end, and how long the
// pause is.
func TestClones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := fmt.Errorf("%w: disconnected: %w", errLost, errTakenOver)
		eof := fmt.Errorf("%w: %w", errLost, net.ErrClosed)
		c := newClones("gw-south")
		if err := c.ended(time.Now(), eof); err != nil {
			t.Errorf("ended by ourselves: %v", err)
		}
		begin := time.Now()
		if err := c.ended(begin, taken); err == nil || !strings.Contains(err.Error(), "1 times") {
			t.Errorf("told by the broker: %v", err)
		}
		var last time.Duration
		for range 12 {
			if d := c.retry.Next(); d < last {
				t.Errorf("the pause shrinks from %s to %s", last, d)
			} else {
				last = d
			}
		}
		if last != 5*time.Minute {
			t.Errorf("the pause ends at %s", last)
		}
		time.Sleep(short)
		if err := c.ended(begin, taken); err == nil || c.ends != 1 {
			t.Errorf("after a long connection: %v, %d", err, c.ends)
		}
	})
}

// A message that two subscriptions match is one reading, whether or not the broker
// says what its copies are for; and two that are alike are two.
func TestCrossingFilters(t *testing.T) {
	for name, old := range map[string]bool{"MQTT 5": false, "MQTT 3.1.1": true} {
		t.Run(name, func(t *testing.T) {
			b := rig.StartMosquitto(t)
			address := b.Addr
			if old {
				address = ageing(t, b.Addr, []byte{0x20, 2, 0, 1})
			}
			r := &recorder{}
			c := configured(inlet.Broker{URL: inlet.Addresses{"mqtt://" + address}}, "plant/+/v", "plant/boiler/#", "other/#")
			run(t, c, r.ingest)
			connected(t, c)
			for _, m := range []string{"1", "1", "2"} {
				rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "plant/boiler/v", "-m", m)
				<-time.After(2 * nextCopy)
			}
			rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "plant/pump/v", "-m", "3")
			rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "other/x", "-m", "end")
			rig.Same(t, "readings", r.wait(t, 5), []string{"plant/boiler/v=1", "plant/boiler/v=1", "plant/boiler/v=2",
				"plant/pump/v=3", "other/x=end"})
			rig.Until(t, "all are acknowledged", func() bool { return c.Counts().Unacknowledged == 0 })
		})
	}
}

// TestCopies: copies in every order.
func TestCopies(t *testing.T) {
	now := time.Unix(1000, 0)
	type message struct {
		topic, payload string
		ids            []int
		after          time.Duration
	}
	for name, tt := range map[string]struct {
		all  []message
		want string // t for taken, - for a copy
	}{
		"one after the other": {[]message{{"a/b", "1", []int{1}, 0}, {"a/b", "1", []int{2}, 0}, {"a/b", "1", []int{1}, 1},
			{"a/b", "1", []int{2}, 0}}, "t-t-"},
		"first all of one subscription": {[]message{{"a/b", "1", []int{1}, 0}, {"a/b", "1", []int{1}, 0},
			{"a/b", "1", []int{2}, 0}, {"a/b", "1", []int{2}, 0}}, "tt--"},
		"one copy for both":   {[]message{{"a/b", "1", []int{1, 2}, 0}, {"a/b", "1", []int{1, 2}, 0}}, "tt"},
		"different payloads":  {[]message{{"a/b", "1", []int{1}, 0}, {"a/b", "2", []int{2}, 0}}, "tt"},
		"much later":          {[]message{{"a/b", "1", []int{1}, 0}, {"a/b", "1", []int{2}, copiesApart + 1}}, "tt"},
		"one subscription":    {[]message{{"a/x", "1", []int{1}, 0}, {"a/x", "1", []int{2}, 0}}, "tt"},
		"without identifiers": {[]message{{"a/b", "1", nil, 0}, {"a/b", "1", nil, 0}, {"a/b", "1", nil, 0}}, "t-t"},
		"later, without":      {[]message{{"a/b", "1", nil, 0}, {"a/b", "1", nil, nextCopy + 1}}, "tt"},
		"another between":     {[]message{{"a/b", "1", nil, 0}, {"a/b", "2", nil, 0}, {"a/b", "1", nil, 0}}, "ttt"},
		"not one of these":    {[]message{{"z", "1", nil, 0}, {"z", "1", nil, 0}}, "tt"},
	} {
		c := newCopies([]Subscription{{"a/b", 1}, {"+/b", 1}, {"a/x", 1}, {"z", 0}})
		got := ""
		for _, m := range tt.all {
			now = now.Add(m.after)
			if c.again(m.topic, []byte(m.payload), m.ids, now) {
				got += "-"
			} else {
				got += "t"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	c := newCopies(wanted("a/#", "a/b"))
	for i := range 3 * mostCopied {
		c.again("a/b", fmt.Append(nil, i), []int{1}, now)
	}
	if len(c.seen) > mostCopied {
		t.Errorf("%d are remembered", len(c.seen))
	}
}

// A site broker by WebSocket.
func TestWebSocket(t *testing.T) {
	web := fmt.Sprint("127.0.0.1:", needtest.Port(t))
	_, port, _ := net.SplitHostPort(web)
	b := rig.StartMosquitto(t, "allow_anonymous true", "listener "+port+" 127.0.0.1", "protocol websockets")
	r := &recorder{}
	c := configured(inlet.Broker{URL: inlet.Addresses{"ws://" + web + "/mqtt"}}, "w/+/+")
	run(t, c, r.ingest)
	connected(t, c)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "2", "-t", "w/a/p", "-m", strings.Repeat("x", 100<<10))
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "1")
	if all := r.wait(t, 2); all[1] != "w/a/p=1" {
		t.Errorf("%.80v", all)
	}
	rig.Until(t, "all are acknowledged", func() bool { return c.Counts().Unacknowledged == 0 })
}

// A message that is too long for us, of a broker that cannot be told, is skipped and
// acknowledged: it does not cut the connection for ever.
func TestTooLongOf311(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := &recorder{}
	c := configured(inlet.Broker{URL: inlet.Addresses{"mqtt://" + ageing(t, b.Addr, []byte{0x20, 2, 0, 1})}},
		"zigbee2mqtt/#")
	stop := run(t, c, r.ingest)
	connected(t, c)
	long := string(rig.File(t, "long", strings.Repeat("x", 3<<20)))
	for _, qos := range []string{"0", "1", "2"} {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", qos, "-t", "zigbee2mqtt/bridge/devices", "-f", long)
	}
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "zigbee2mqtt/lamp", "-m", "1")
	rig.Same(t, "readings", r.wait(t, 1), []string{"zigbee2mqtt/lamp=1"})
	h := c.Health()
	if len(h) != 1 || !strings.Contains(h[0].Text, "zigbee2mqtt/bridge/devices") ||
		!strings.Contains(h[0].Text, "3 times") {
		t.Errorf("%v", h)
	}
	stop()
	run(t, c, r.ingest)
	connected(t, c)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "zigbee2mqtt/lamp", "-m", "2")
	rig.Same(t, "readings", r.wait(t, 2), []string{"zigbee2mqtt/lamp=1", "zigbee2mqtt/lamp=2"})
	if h := c.Health(); !strings.Contains(h[0].Text, "3 times") {
		t.Errorf("it came again: %v", h)
	}
}
