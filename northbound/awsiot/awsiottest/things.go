package awsiottest

import (
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/things"
)

// UpdateShadow does what an application does: it updates a named shadow; name ""
// is the classic one.
func (c *Cloud) UpdateShadow(thing, name, document string) { c.shadows.Update(thing, name, document) }

// Shadow returns the state of a shadow, with its delta, as JSON; name "" is the
// classic one. null is that there is none.
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
