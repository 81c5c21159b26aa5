package remote

import (
	"context"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/pause"
)

// retryAfter is when a subscription that was refused is tried again.
const retryAfter = 5 * time.Minute

// Session is what is needed of a session with the cloud; [uplink.Session] has it.
type Session interface {
	Send(m *bridge.Message, correlation []byte, done func(error))
	Subscribe(ctx context.Context, topics ...string) error
	Handle(topic string, f func(uplink.Inbound))
	HandleBelow(prefix string, f func(uplink.Inbound))
	Context() context.Context
}

// Connection is a session and what is in force while it lasts.
type Connection struct {
	Session
	Access      Access
	Labels      map[string]string
	StatusTopic string // for answers to who names no topic
}

// Serve serves what the cloud may ask of us on a connection: commands, and the
// shadow. It returns when ctx has ended, which is at the latest when the session
// ends. There is one connection at a time.
func (c *Commander) Serve(ctx context.Context, conn *Connection) {
	c.now.Store(conn)
	defer c.now.Store(nil)
	var all sync.WaitGroup
	if conn.Access.Commands.Executions && c.cuts.allow(time.Now()) {
		all.Go(func() {
			c.subscribe(ctx, "executions", func() error {
				err := c.takeExecutions(ctx, conn)
				c.cuts.note(err != nil && conn.Context().Err() != nil, time.Now())
				return err
			})
		})
	}
	if conn.Access.Commands.Topic != "" {
		all.Go(func() { c.subscribe(ctx, "commands", func() error { return c.listen(ctx, conn) }) })
	}
	if conn.Access.Shadow.Name != "" {
		all.Go(func() {
			r := newReporter(c, conn)
			c.subscribe(ctx, "shadow", func() error { return r.open(ctx) })
			r.run(ctx)
		})
	}
	all.Wait()
	<-ctx.Done()
}

// subscribe tries to subscribe until it works or ctx ends.
func (c *Commander) subscribe(ctx context.Context, what string, try func() error) {
	for ctx.Err() == nil {
		err := try()
		if err == nil || ctx.Err() != nil {
			return
		}
		c.o.Log.Error("the cloud does not let us listen", "for", what, "err", err, "again", retryAfter)
		pause.Sleep(ctx, retryAfter)
	}
}

// listen subscribes to the topic of commands.
func (c *Commander) listen(ctx context.Context, conn *Connection) error {
	t, err := payload.ParseTopic(conn.Access.Commands.Topic, c.o.Gateway, conn.Labels)
	if err != nil {
		return err // checked when the configuration was taken
	}
	maxAge := conn.Access.Commands.MaxAge.D()
	conn.Handle(t.Fill("", ""), func(m uplink.Inbound) {
		c.offer(request{by: viaTopic, payload: m.Payload, maxAge: maxAge, reply: c.respond(m.ResponseTopic, m.Correlation)})
	})
	return conn.Subscribe(ctx, t.Fill("", ""))
}

// respond returns what publishes the answer to a request from a topic, to its
// response topic or else to the status topic, if there is a connection. Without
// one the asker will ask again, and is told then.
func (c *Commander) respond(response string, correlation []byte) func(Answer) {
	return func(a Answer) {
		conn := c.now.Load()
		if conn == nil {
			return
		}
		a.Header = payload.Header{V: 1, Gateway: c.o.Gateway, Run: c.o.Run, Type: "command", At: time.Now().UnixMilli()}
		topic := response
		if !answerable(topic) {
			topic = conn.StatusTopic
		}
		m := bridge.Message{Topic: topic, Payload: payload.Encode(a), ContentType: payload.ContentType}
		conn.Send(&m, correlation, func(err error) {
			if err != nil {
				c.o.Log.Warn("the answer to a command is not taken", "id", a.ID, "topic", topic, "err", err)
			}
		})
	}
}
