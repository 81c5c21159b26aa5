package awsiottest

import "time"

// Throttle is what happens to messages above 100 per second on a connection.
// AWS documents that they are discarded; MQTT 5 has a reason code for it.
type Throttle int

// The ways of throttling. With any but ThrottleOff also CONNECTs of a client id
// within a second are refused, and more than 512 KiB/s are slowed down.
const (
	ThrottleOff    Throttle = iota
	ThrottleDrop            // the message is discarded, no PUBACK comes
	ThrottleRefuse          // PUBACK 0x97
)

// tooSoon reports whether a client id connects for the second time within a
// second.
func (c *Cloud) tooSoon(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	last, known := c.connected[id]
	c.connected[id] = now
	return known && now.Sub(last) < time.Second
}
