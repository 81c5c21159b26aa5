package awsiottest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/northbound/awsiot/awsiottest/things"
)

// event is a lifecycle event (developer guide, "Lifecycle events").
type event struct {
	ClientID      string   `json:"clientId"`
	Thing         string   `json:"thingName,omitempty"`
	Timestamp     int64    `json:"timestamp"` // ms
	Type          string   `json:"eventType"`
	Session       string   `json:"sessionIdentifier,omitempty"`
	Principal     string   `json:"principalIdentifier,omitempty"`
	Address       string   `json:"ipAddress,omitempty"`
	Version       uint64   `json:"versionNumber"`
	Initiated     *bool    `json:"clientInitiatedDisconnect,omitempty"`
	Reason        string   `json:"disconnectReason,omitempty"`
	ConnectFailed string   `json:"connectFailureReason,omitempty"`
	Topics        []string `json:"topics,omitempty"`
}

// emit publishes an event under $aws/events/.
func (c *Cloud) emit(kind string, e event) {
	e.Timestamp = time.Now().UnixMilli()
	c.say("$aws/events/"+kind+"/"+e.ClientID, e)
}

// say publishes something of AWS's own.
func (c *Cloud) say(topic string, v any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = c.Publish(topic, data)
	}
	if err != nil {
		c.log.Warn("message of the cloud cannot be published", "topic", topic, "err", err)
	}
}

func (c *client) event(kind string) event {
	return event{ClientID: c.mochi.ID, Type: kind, Session: c.session, Principal: c.who.certificate, Version: c.version}
}

// uuid returns a random UUID (RFC 9562, version 4).
func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// reasonOf returns AWS's word for why a connection ended.
func reasonOf(cl *mochi.Client) string {
	var code packets.Code
	if !errors.As(cl.StopCause(), &code) {
		return "CONNECTION_LOST"
	}
	switch code.Code {
	case 0x00:
		return "CLIENT_INITIATED_DISCONNECT"
	case packets.ErrSessionTakenOver.Code:
		return "DUPLICATE_CLIENTID"
	case packets.ErrKeepAliveTimeout.Code:
		return "MQTT_KEEP_ALIVE_TIMEOUT"
	case packets.ErrServerShuttingDown.Code:
		return "SERVER_INITIATED_DISCONNECT"
	case packets.ErrAdministrativeAction.Code:
		return "API_INITIATED_DISCONNECT"
	case packets.ErrNotAuthorized.Code:
		return "FORBIDDEN_ACCESS"
	case packets.ErrQuotaExceeded.Code:
		return "THROTTLED"
	}
	return "CLIENT_ERROR"
}

// UpdateShadow does what an application does: it updates a named shadow; name ""
// is the classic one.
func (c *Cloud) UpdateShadow(thing, name, document string) { c.shadows.Update(thing, name, document) }

// Shadow returns the state of a shadow, with its delta, as JSON; name "" is the
// classic one. null means that there is none.
func (c *Cloud) Shadow(thing, name string) []byte { return c.shadows.Document(thing, name) }

// StartExecution does what an application does: it sends a command to a thing,
// who has timeout to do it, and returns the execution's id. If nobody listens
// the payload is lost, and the execution stays [things.Created] until it times
// out.
func (c *Cloud) StartExecution(thing string, payload []byte, timeout time.Duration) string {
	id := uuid()
	c.executions.Start(id, thing, timeout)
	c.ResendExecution(id, payload)
	return id
}

// ResendExecution sends the payload of an execution once more, as the broker may
// do with what it thinks was not acknowledged.
func (c *Cloud) ResendExecution(id string, payload []byte) {
	topic := c.executions.RequestTopic(id)
	if topic == "" {
		return
	}
	if err := c.Send(Message{Topic: topic, Payload: payload, ContentType: "application/json"}); err != nil {
		c.log.Warn("execution cannot be handed on", "topic", topic, "err", err)
	}
}

// Execution returns what is known of an execution; the zero value for an id that
// is not known.
func (c *Cloud) Execution(id string) things.Execution { return c.executions.Get(id) }
