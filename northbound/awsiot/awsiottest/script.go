package awsiottest

import "time"

// Message is a message that a client published.
type Message struct {
	Client      string
	Topic       string
	Payload     []byte
	ContentType string
	// ResponseTopic and CorrelationData are where and under what an answer is
	// wanted.
	ResponseTopic   string
	CorrelationData []byte
	QoS             byte
	Retain          bool
	At              time.Time // when it arrived
}

// Size returns what AWS meters: payload, topic and properties.
func (m *Message) Size() int {
	return len(m.Payload) + len(m.Topic) + len(m.ContentType) + len(m.ResponseTopic) + len(m.CorrelationData)
}

// Verdict is what becomes of a message. The zero Verdict accepts it.
type Verdict struct {
	// Code is the PUBACK's reason; from 0x80 on the message is refused.
	Code byte
	// Delay is how long the PUBACK takes.
	Delay time.Duration
	// Lose accepts the message and never sends its PUBACK.
	Lose bool
	// Discard neither accepts the message nor answers: what AWS does above its
	// rate.
	Discard bool
	// Drop breaks the connection instead of sending the PUBACK.
	Drop bool
}

// Script decides about each message, in the order of arrival per client. It is
// called from several goroutines. nil accepts all.
func (c *Cloud) Script(f func(*Message) Verdict) { c.script.Store(&f) }

// ConnectVerdict is what becomes of a CONNECT. The zero value accepts it.
type ConnectVerdict struct {
	Code  byte          // CONNACK reason, 0 or 0x80 and above
	Close bool          // close without CONNACK
	Delay time.Duration // before the CONNACK
}

// ScriptConnect decides about each CONNECT that is otherwise right. nil accepts
// all.
func (c *Cloud) ScriptConnect(f func(client string) ConnectVerdict) { c.connectScript.Store(&f) }

// ScriptSubscribe decides about each filter that is otherwise right: false ends
// the connection, as AWS may for a reserved topic that it does not serve. nil
// accepts all.
func (c *Cloud) ScriptSubscribe(f func(client, filter string) bool) { c.subscribeScript.Store(&f) }
