package broker

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/kept"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// retainedAt returns what a client that connects anew is told of filter.
func retainedAt(t *testing.T, s *Broker, filter string) (all []string) {
	t.Helper()
	c := rig.Dial(t, address(t, s), 4, "late")
	c.Write(0x82, append(append([]byte{0, 1}, rig.String(filter)...), 0))
	c.Read()
	// What is retained waits in one queue with what is published.
	c.Publish(0, 0, strings.TrimSuffix(filter, "#")+"end", "1")
	for {
		kind, body := c.Read()
		if kind != 0x31 {
			break
		}
		length := int(body[1])
		all = append(all, string(body[2:2+length])+"="+string(body[2+length:]))
	}
	slices.Sort(all)
	return all
}

// keeping runs a broker that keeps what is retained in state.
func keeping(t *testing.T, config inlet.Broker, state *rig.Memory) (s *Broker, stop func()) {
	t.Helper()
	s, err := New("local", config, discard)
	if err != nil {
		t.Fatal(err)
	}
	s.State = state
	return s, run(t, s, newRecorder().ingest)
}

// A retained message is there after a restart, and one that was taken away is not.
// A last will does not come true by the restart itself.
func TestCaseB10(t *testing.T) {
	state := &rig.Memory{}
	s, stop := keeping(t, plain, state)
	rig.Mosquitto(t, "mosquitto_pub", address(t, s), "-q", "1", "-r", "-t", "tele/x/LWT", "-m", "Online", "-V", "5")
	rig.Mosquitto(t, "mosquitto_pub", address(t, s), "-q", "2", "-r", "-t", "tele/y/LWT", "-m", "Online")
	plug := rig.Open(t, address(t, s), 4)
	will := append(append(rig.String("MQTT"), 4, 0x26, 0, 60), rig.String("plug")...)
	plug.Write(0x10, append(append(will, rig.String("tele/x/LWT")...), rig.String("Offline")...))
	plug.Read()
	stop()
	s, stop = keeping(t, plain, state)
	rig.Same(t, "retained", retainedAt(t, s, "tele/#"), []string{"tele/x/LWT=Online", "tele/y/LWT=Online"})
	rig.Mosquitto(t, "mosquitto_pub", address(t, s), "-q", "1", "-r", "-t", "tele/y/LWT", "-n")
	stop()
	s, _ = keeping(t, plain, state)
	rig.Same(t, "retained", retainedAt(t, s, "tele/#"), []string{"tele/x/LWT=Online"})
}

// What a value has that is not ours, or too much, hurts nothing else.
func TestRetainedDamaged(t *testing.T) {
	state := &rig.Memory{}
	_ = state.Put("mqtt.retained.6c6f63616c", []byte("nonsense"))
	s, stop := keeping(t, plain, state)
	if got := retainedAt(t, s, "#"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	stop()
	value, _, err := kept.Pack([]kept.Message{{Topic: "a", Payload: []byte(strings.Repeat("x", 8<<20)), Owner: "a"},
		{Topic: "b", Payload: []byte("1"), Owner: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = state.Put("mqtt.retained.6c6f63616c", value)
	s, _ = keeping(t, plain, state)
	rig.Same(t, "within the budget", retainedAt(t, s, "#"), []string{"b=1"})
}

// failing is a state whose disk fails.
type failing struct{ rig.Memory }

func (*failing) Put(string, []byte) error { return errors.New("no space left on device") }

// counted is a state that counts what is written.
type counted struct {
	rig.Memory
	writes, bytes atomic.Int64
}

func (c *counted) Put(key string, value []byte) error {
	c.writes.Add(1)
	c.bytes.Add(int64(len(value)))
	return c.Memory.Put(key, value)
}

// What changes all the time is written so seldom that a day's writes are a megabyte,
// those of four hours a sixth of it; what does not change never.
func TestRetainedFlash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New("local", plain, discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.serve(); err != nil {
			t.Fatal(err)
		}
		state := &counted{}
		k := &keeper{broker: s, state: state}
		done := make(chan struct{})
		go k.run(done)
		publish := func(text string) {
			s.server.Topics.RetainMessage(publication("a/b", text))
		}
		for i := range 4 * 60 {
			publish(strings.Repeat(string(rune('a'+i%26)), 100))
			time.Sleep(time.Minute)
		}
		// The first is soon after the start.
		if writes, size := state.writes.Load(), state.bytes.Load(); writes < 8 || size+(writes-1)*(16<<10) > 1<<20/6 {
			t.Errorf("%d writes of %d bytes in four hours", writes, size)
		}
		time.Sleep(time.Hour) // the last change
		before := state.writes.Load()
		time.Sleep(2 * time.Hour)
		close(done)
		synctest.Wait()
		if n := state.writes.Load(); n != before {
			t.Errorf("%d writes of nothing new", n-before)
		}
		k.state = &failing{}
		publish("x")
		k.save()
		if string(k.last) == "" {
			t.Error("a write that failed is taken for done")
		}
		s.stop()
	})
}
