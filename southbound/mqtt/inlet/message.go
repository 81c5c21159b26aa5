package inlet

import "time"

// Message is what a sensor published.
type Message struct {
	Topic    string // good until the call that hands it over returns
	Payload  []byte // read-only, and good until that call returns
	At       time.Time
	Held     int32  // as [bridge.Batch] has it
	Type     string // of the content, as MQTT 5 clients may say it
	Retained bool   // a broker of the site had kept it: nobody may have said it lately
	From     string // the session at the embedded broker; "" from a broker of the site
}

// Ingest takes a message. It does not wait. safe, if not nil, is called exactly
// once, by any goroutine, when the readings are safe or were refused: the sender
// may be answered then.
type Ingest func(m Message, safe func(error))

// stopGrace is how long stopping waits for messages to become safe, so that
// sensors need not send them again.
const stopGrace = 500 * time.Millisecond

// Grace waits until nothing is unacknowledged any more, for half a second at most.
func Grace(unacknowledged func() int) {
	deadline := time.NewTimer(stopGrace)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for unacknowledged() > 0 {
		select {
		case <-poll.C:
		case <-deadline.C:
			return
		}
	}
}

// MaxTopic is how long a topic may be, in bytes: what is remembered of topics has
// a bound.
const MaxTopic = 1 << 10
