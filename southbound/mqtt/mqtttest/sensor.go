// Package mqtttest has a sensor that publishes over MQTT, for tests and the
// demo.
package mqtttest

import (
	"context"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// Sensor publishes what Read returns with QoS 1, every Every, to the broker at
// Addr, and connects again when the connection breaks. Set its fields before
// Run.
type Sensor struct {
	Addr  string // host:port
	ID    string // client id
	Every time.Duration
	Read  func() (topic, payload string)
	// Acked, if not nil, is told of each acknowledged message, in order.
	Acked func(topic, payload string)
}

const redial = time.Second

// Run publishes until ctx ends. A message that was not acknowledged is sent
// again over the next connection.
func (s *Sensor) Run(ctx context.Context) {
	var topic, payload string // not acknowledged
	for ctx.Err() == nil {
		topic, payload = s.session(ctx, topic, payload)
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
}

// session publishes over one connection, first what is left from the one
// before, and returns what was not acknowledged.
func (s *Sensor) session(ctx context.Context, topic, payload string) (string, string) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return topic, payload
	}
	defer func() { _ = conn.Close() }()
	client := paho.NewClient(paho.ClientConfig{ClientID: s.ID, Conn: packets.NewThreadSafeConn(conn),
		PacketTimeout: 10 * time.Second})
	if _, err := client.Connect(ctx, &paho.Connect{ClientID: s.ID, CleanStart: true, KeepAlive: 30}); err != nil {
		return topic, payload
	}
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }()
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		if topic == "" {
			topic, payload = s.Read()
		}
		if _, err := client.Publish(ctx, &paho.Publish{QoS: 1, Topic: topic, Payload: []byte(payload)}); err != nil {
			return topic, payload
		}
		if s.Acked != nil {
			s.Acked(topic, payload)
		}
		topic = ""
		select {
		case <-ctx.Done():
			return "", ""
		case <-client.Done():
			return "", ""
		case <-tick.C:
		}
	}
}
