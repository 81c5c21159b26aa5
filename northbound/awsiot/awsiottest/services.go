package awsiottest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
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
	e := event{ClientID: c.mochi.ID, Type: kind, Session: c.session, Principal: c.who.certificate, Version: c.version}
	if c.who.exclusive {
		e.Thing = c.who.thing
	}
	return e
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

// Registry returns the account's registry, by which each CONNECT is judged.
func (c *Cloud) Registry() *registry.Registry { return c.registry }

// Serve plugs a service in: it answers what is published to its topics.
func (c *Cloud) Serve(s service.Service) {
	if a, ok := s.(service.Announcer); ok {
		a.Announce(c.Publish)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services = append(c.services, s)
}

// served hands a message to the service that it is for, and reports whether there
// is one.
func (c *Cloud) served(from *client, m *Message) bool {
	c.mu.Lock()
	services := c.services
	c.mu.Unlock()
	if len(services) == 0 {
		return false
	}
	caller := service.Caller{Client: m.Client, Thing: from.who.thing, Certificate: from.who.certificate,
		Subscribed: func(topic string, payload []byte) {
			if from.listens(topic) {
				c.tell(from, topic, payload)
			}
		},
		Unasked: func(topic string, payload []byte) { c.tell(from, topic, payload) },
	}
	for _, s := range services {
		if s.Request(caller, m.Topic, m.Payload) {
			return true
		}
	}
	return false
}

// listens reports whether a client has subscribed to a topic.
func (c *client) listens(topic string) bool {
	for filter := range c.mochi.State.Subscriptions.GetAll() {
		if matches(filter, topic) {
			return true
		}
	}
	return false
}

// tell sends something to one connection, past all subscriptions, if it may
// receive it.
func (c *Cloud) tell(to *client, topic string, payload []byte) {
	if !c.allowed(to.who, "iot:Receive", "topic/"+topic) {
		return
	}
	err := to.mochi.WritePacket(packets.Packet{ProtocolVersion: to.mochi.Properties.ProtocolVersion,
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: payload})
	if err != nil {
		c.log.Debug("answer of a service is lost", "topic", topic, "err", err)
	}
}

// adopt registers a certificate that the stand-in has made for a thing.
func (c *Cloud) adopt(cert *x509.Certificate) {
	c.registry.AddCertificate(registry.Certificate{ID: registry.CertificateID(cert.Raw), DER: cert.Raw,
		Status: registry.Active, Plain: true})
	if err := c.registry.AddThing(registry.Thing{Name: cert.Subject.CommonName}); err != nil {
		c.log.Debug("the name of the certificate is none that a thing can have", "err", err)
	}
}

// SetStatus registers a certificate or changes its state; "" forgets it. As with
// AWS, connections that are up stay.
func (c *Cloud) SetStatus(certificateID string, s registry.Status) {
	c.registry.SetStatus(certificateID, s)
}

// arrives tells the services of a certificate that is not active.
func (c *Cloud) arrives(leaf *x509.Certificate) {
	c.mu.Lock()
	services := c.services
	c.mu.Unlock()
	for _, s := range services {
		if r, ok := s.(service.Registrar); ok {
			r.Arrives(leaf)
		}
	}
}

func (c *Cloud) status(certificateID string) registry.Status { return c.registry.Status(certificateID) }
