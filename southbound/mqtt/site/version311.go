package site

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"

	"fieldbridge/southbound/mqtt/inlet"
)

// errSilent is the end of a connection on which the broker said nothing.
var errSilent = errors.New("the broker closes the connection without an answer")

// connect311 is as connect, with MQTT 3.1.1.
func (s *Client) connect311(ctx context.Context, ingest inlet.Ingest) error {
	nc, err := s.dial(ctx)
	if err != nil {
		return err
	}
	return s.use311(ctx, nc, ingest)
}

// use311 is as connect311, over nc, which it closes.
func (s *Client) use311(ctx context.Context, nc *conn, ingest inlet.Ingest) error {
	ended := make(chan error, 4)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	connection, lost := context.WithCancel(context.Background())
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(connection, cancel)
	session := newSession(end, &s.refused)
	client := client311{paho3.NewClient(s.options311(&conn311{conn: nc, session: session,
		gone: connection.Done(), tooLong: s.skipped}).
		SetConnectionLostHandler(func(_ paho3.Client, err error) { end(err); lost() }).
		SetDefaultPublishHandler(func(_ paho3.Client, m paho3.Message) {
			s.messages.Add(1)
			if s.copies.Load().again(m.Topic(), m.Payload(), nil, time.Now()) {
				if m.Qos() > 0 {
					session.expect(func() error { m.Ack(); return nil })(nil)
				}
				return
			}
			// An acknowledgement of a connection that has ended is dropped in
			// silence; what it was for comes again on the next one.
			var safe func(error)
			if m.Qos() > 0 {
				safe = session.expect(func() error { m.Ack(); return nil })
			}
			ingest(inlet.Message{Topic: m.Topic(), Payload: m.Payload(), At: time.Now(),
				Retained: m.Retained()}, safe)
		}))}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer client.Disconnect(uint(time.Second / time.Millisecond)) // waits for paho to end
	defer func() { _ = nc.Close() }()
	defer lost()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	resumed, err := s.greet311(client)
	if !stop() || err != nil {
		return err
	}
	s.speaks311()
	s.mu.Lock()
	s.now = session
	s.mu.Unlock()
	helpers.Go(func() { session.run(connection.Done()) })
	err = s.serve(live, client, resumed, ended)
	if ctx.Err() != nil {
		inlet.Grace(session.unacknowledged) // or the broker would send them again
		client.Disconnect(uint(time.Second / time.Millisecond))
		return err
	}
	if !errors.Is(err, errLost) && !client.IsConnectionOpen() {
		return why(ended)
	}
	return err
}

// options311 are those of the connection nc.
func (s *Client) options311(nc *conn311) *paho3.ClientOptions {
	o := paho3.NewClientOptions().AddBroker(s.url()).SetClientID(s.id).SetProtocolVersion(4).
		SetCleanSession(s.guest).SetAutoReconnect(false).SetAutoAckDisabled(true).
		SetConnectTimeout(timeout).
		SetKeepAlive(keepAlive * time.Second / 2).
		SetPingTimeout(24 * time.Hour). // the connection itself knows when it is dead
		SetCustomOpenConnectionFn(nc.open)
	if s.config.Username != "" {
		o.SetUsername(s.config.Username)
		if password, err := inlet.ReadPassword(s.config.PasswordFile); s.config.PasswordFile != "" && err == nil {
			o.SetPassword(string(password))
		}
	}
	return o
}

// greet311 connects (MQTT 3.1.1, sections 3.1 and 3.2).
func (s *Client) greet311(client client311) (resumed bool, err error) {
	what := fmt.Sprintf("connect to %s as %s", s.url(), s.id)
	token := client.Connect().(*paho3.ConnectToken)
	<-token.Done() // timeout at most, or the end of the connection
	if code := token.ReturnCode(); code > 0 && code < 0xf0 {
		return false, fmt.Errorf("%s: %w", what, s.refusal311(code))
	}
	if err := token.Error(); err != nil {
		return false, fmt.Errorf("%s: %w (%w)", what, errSilent, err)
	}
	return token.SessionPresent(), nil
}

// refusal311 explains a return code of CONNACK.
func (s *Client) refusal311(code byte) error {
	switch code {
	case 1:
		return errors.New("the broker speaks neither MQTT 5 nor 3.1.1: update it, or let it bridge to a broker with listen")
	case 2:
		return errors.New("the broker does not accept this client id: change client_id")
	case 4:
		return errors.New("bad user name or password: check username and password_file" + s.passwordHint())
	case 5:
		return errors.New("not authorized: check username and password_file, or the broker's access rules" +
			s.passwordHint())
	}
	return fmt.Errorf("refused with code %d", code)
}

// client311 is a [dialect] that speaks MQTT 3.1.1: for brokers that know
// nothing newer.
type client311 struct{ paho3.Client }

// answered waits for the broker's answer.
func answered(ctx context.Context, token paho3.Token) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func (c client311) subscribe(ctx context.Context, subs []Subscription) ([]byte, error) {
	filters := make(map[string]byte, len(subs)) // with their QoS
	for _, s := range subs {
		filters[s.Filter] = s.QoS
	}
	token := c.SubscribeMultiple(filters, nil).(*paho3.SubscribeToken)
	if err := answered(ctx, token); err != nil {
		return nil, err
	}
	reasons := make([]byte, len(subs))
	for i, s := range subs {
		reasons[i] = token.Result()[s.Filter]
	}
	return reasons, nil
}

func (c client311) unsubscribe(ctx context.Context, filter string) error {
	return answered(ctx, c.Unsubscribe(filter))
}

func (c client311) publish(ctx context.Context, topic string, payload []byte, retain bool) error {
	return answered(ctx, c.Publish(topic, 0, retain, payload))
}

func (c client311) identifies() bool { return false }

// resubscribes is false: MQTT 3.1.1 sends retained messages each time.
func (c client311) resubscribes() bool { return false }
