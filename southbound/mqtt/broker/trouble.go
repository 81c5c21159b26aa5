package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/websocket"
	"fieldbridge/southbound/mqtt/weigh"
)

// who returns who a client is.
func who(cl *mochi.Client) trouble.Client {
	c := trouble.Client{ID: clientID(cl), Remote: cl.Net.Remote}
	if user, _, ok := strings.Cut(cl.ID, weigh.UserEnd); ok {
		c.User = user
	}
	return c
}

// Trouble returns the clients that were refused, cut off or not taken in full, the
// newest first.
func (e *Broker) Trouble() []trouble.Entry { return e.trouble.Entries() }

// TroubleCounts returns how often each trouble was, by its code.
func (e *Broker) TroubleCounts() map[string]uint64 {
	counts := make(map[string]uint64)
	had := e.trouble.Counts()
	for _, kind := range trouble.Kinds() {
		counts[kind.Code] = had[kind]
	}
	return counts
}

// blame notes that a client asked for more than there is memory for.
func (e *Broker) blame(kind string, client trouble.Client) {
	e.memory.Blame(kind, client.String())
	e.trouble.Note(trouble.Memory, client, "it asks for more than there is memory for of "+kind)
}

// denied notes a client that may not connect.
func (e *Broker) denied(c *conn, cl *mochi.Client, connect packets.ConnectParams, cause error) {
	e.unwelcome.Add(1)
	e.mu.Lock()
	if e.access.guard.Refused() < manyRefused {
		e.guessedAt = time.Now()
	}
	e.mu.Unlock()
	client := trouble.Client{ID: connect.ClientIdentifier, User: string(connect.Username), Remote: cl.Net.Remote}
	c.refusal = packets.ErrBadUsernameOrPassword
	advice := ""
	switch {
	case errors.Is(cause, errAnonymous):
		advice = "add it to the client, or set anonymous: true"
	case errors.Is(cause, errUnknown):
		advice = "add it to users, or give the client one that is there"
	case errors.Is(cause, errPassword):
		advice = "give it the password of its user"
	case errors.Is(cause, errWillTopic):
		advice = "shorten the topic"
	case errors.Is(cause, errWill):
		advice = "add that topic to topics of its user, or change it there"
	default:
		advice = "mend password_file of its user" // which cannot be read
	}
	e.trouble.Advise(trouble.Login, client, cause.Error(), advice)
}

// refuseTopic notes a topic that the user of a client may not use.
func (e *Broker) refuseTopic(cl *mochi.Client, name string, write bool) {
	verb, advice := "subscribe to", ""
	if write {
		verb = "publish to"
	}
	cause := fmt.Sprintf("it may not %s %s", verb, trouble.Short(name))
	if write && strings.ContainsAny(name, "+#") {
		cause, advice = fmt.Sprintf("it publishes to %s, which is a filter: a topic has no + and #", trouble.Short(name)),
			"correct the topic there"
	}
	e.trouble.Advise(trouble.Topic, who(cl), cause, advice)
}

// takenOver notes that a client lost its session to another that calls itself the
// same.
func (e *Broker) takenOver(old, by *mochi.Client) {
	e.mu.Lock()
	text := e.rivals.TakenOver(by.ID, old.Net.Remote, by.Net.Remote, time.Now())
	e.mu.Unlock()
	if text != "" {
		e.trouble.Note(trouble.SharedID, who(by), text)
	}
}

// refuse puts the code into a CONNACK packet that the client's version has for it,
// and notes what nobody else does: the refusals of the broker's library.
func (e *Broker) refuse(cl *mochi.Client, connack *packets.Packet) {
	c, ok := cl.Net.Conn.(*conn)
	if !ok || connack.ReasonCode == packets.CodeSuccess.Code {
		return
	}
	c.refused = true
	version := cl.Properties.ProtocolVersion
	switch {
	case c.refusal.Code != 0: // noted where it was found
		connack.ReasonCode, connack.Properties.ReasonString = c.refusal.Code, c.refusal.Reason
	case connack.ReasonCode == packets.ErrServerBusy.Code || connack.ReasonCode == packets.Err3ServerUnavailable.Code:
		e.unwelcome.Add(1)
		e.trouble.Note(trouble.Full, trouble.Client{ID: cl.ID, Remote: cl.Net.Remote},
			fmt.Sprintf("max_clients: %d are connected", e.config.ClientLimit()))
		connack.ReasonCode = packets.ErrServerBusy.Code
	default:
		e.unwelcome.Add(1)
		cause, advice, id := connack.Properties.ReasonString, "", cl.ID
		switch {
		case version < 3 || version > 5:
			cause = fmt.Sprintf("its CONNECT packet asks for version %d of MQTT", version)
			connack.ReasonCode = packets.ErrUnsupportedProtocolVersion.Code
		case version < 5 && cl.Properties.Props.AssignedClientID != "":
			cause = "it gives no client id, and wants its session kept"
			advice = "give it a client id, or let it ask for a clean session"
			id = "" // the one that it has is ours
			connack.ReasonCode = packets.ErrClientIdentifierNotValid.Code
		}
		e.trouble.Advise(trouble.Protocol, trouble.Client{ID: id, Remote: cl.Net.Remote}, cause, advice)
	}
	if version < 5 {
		connack.ReasonCode = code311(connack.ReasonCode)
	}
}

// code311 returns the return code of MQTT 3.1.1 (section 3.2.2.3) for a reason code
// of MQTT 5.
func code311(reason byte) byte {
	switch reason {
	case packets.ErrUnsupportedProtocolVersion.Code, packets.ErrProtocolViolation.Code:
		return packets.Err3UnsupportedProtocolVersion.Code
	case packets.ErrClientIdentifierNotValid.Code:
		return packets.Err3ClientIdentifierNotValid.Code
	case packets.ErrBadUsernameOrPassword.Code, packets.ErrNotAuthorized.Code:
		return packets.Err3NotAuthorized.Code
	}
	return packets.Err3ServerUnavailable.Code
}

// explain notes why a connection ended, unless it was the client that ended it or
// it was noted where it happened.
func (e *Broker) explain(c *conn, err error) {
	client, cause := c.who(), c.why()
	if err == nil && cause == nil && c.self != nil {
		err = c.self.StopCause() // the broker's library ended it, and does not say so
	}
	var code packets.Code
	var timeout net.Error
	switch {
	case errors.Is(cause, errSlowReader):
		e.slow.Add(1)
		e.trouble.Note(trouble.Slow, client, "it does not read what it subscribed to")
	case errors.Is(cause, errRefused):
		e.trouble.Note(trouble.Queue, client, "it is disconnected so that it sends its message again")
	case c.self == nil && distrusts(err), c.self == nil && client.ID == "" && ofTLS(err):
		e.stranger(c, err)
	case c.self != nil && cause == nil && errors.As(err, &timeout) && timeout.Timeout():
		e.trouble.Note(trouble.Silent, client, fmt.Sprintf("it was silent for %s", c.patience))
	case cause != nil || err == nil || c.refused || e.stopping.Load(),
		errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, mochi.ErrConnectionClosed):
	case c.self == nil && client.ID == "" && errors.As(err, &timeout) && timeout.Timeout():
		e.trouble.Note(trouble.Protocol, client, fmt.Sprintf("it connects and sends nothing for %s", e.connectTimeout))
	case errors.As(err, new(*net.OpError)), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
	case c.self == nil && client.ID == "":
		e.stranger(c, err)
	case c.self == nil:
	case errors.As(err, &code) && code.Code < packets.ErrUnspecifiedError.Code,
		errors.Is(err, packets.ErrSessionTakenOver), errors.Is(err, packets.ErrReceiveMaximum),
		errors.Is(err, packets.ErrQuotaExceeded), errors.Is(err, packets.ErrServerShuttingDown):
	default:
		cause := err.Error()
		if exact && strings.Contains(cause, "invalid utf-8") {
			cause = "a topic or another text of it is not UTF-8, as an umlaut of ISO 8859-1 is not: MQTT has it disconnected"
		}
		e.trouble.Note(trouble.Broken, client, cause)
	}
}

// stranger notes that a connection ended with err before its client logged in.
func (e *Broker) stranger(c *conn, err error) {
	client := c.who()
	e.unwelcome.Add(1)
	var refusal *websocket.Refusal
	var record tls.RecordHeaderError
	kind, cause, advice := trouble.Protocol, strings.TrimPrefix(err.Error(), "read connection: "), ""
	switch {
	case errors.As(err, &refusal):
		cause, advice = refusal.Error(), refusal.Advice
	case distrusts(err):
		kind = trouble.Certificate
		cause = "it ends the TLS handshake, as who does not trust the broker's certificate does: " + cause
	case errors.As(err, &record):
		if what, do := understood(record.RecordHeader[:]); what != "" {
			cause, advice = what, do
		}
	case ofTLS(err) && strings.Contains(cause, "certificate"):
		advice = "give it a certificate that comes from tls: ca"
	case ofTLS(err):
		advice = "let it speak TLS 1.2 or later, with the ciphers of today"
	case errors.As(err, new(packets.Code)) && c.greeting[0] != connect:
		cause = "what it sends first is no CONNECT packet of MQTT"
		if what, do := understood(c.greeting[:]); what != "" {
			cause, advice = what, do
		}
	}
	e.trouble.Advise(kind, client, cause, advice)
}
