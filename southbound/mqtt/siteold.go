package mqtt

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

// connectOld is as connect, with MQTT 3.1.1.
func (s *site) connectOld(ctx context.Context, ingest inlet.Ingest) error {
	nc, err := s.dial(ctx)
	if err != nil {
		return err
	}
	return s.useOld(ctx, nc, ingest)
}

// useOld is as connectOld, over nc, which it closes.
func (s *site) useOld(ctx context.Context, nc *siteConn, ingest inlet.Ingest) error {
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
	session := newSiteSession(end, &s.refused)
	client := oldClient{paho3.NewClient(s.oldOptions(&oldConn{siteConn: nc, session: session, gone: connection.Done()}).
		SetConnectionLostHandler(func(_ paho3.Client, err error) { end(err); lost() }).
		SetDefaultPublishHandler(func(_ paho3.Client, m paho3.Message) {
			s.messages.Add(1)
			// An acknowledgement of a connection that has ended is dropped in
			// silence; what it was for comes again on the next one.
			var safe func(error)
			if m.Qos() > 0 {
				safe = session.expect(func() error { m.Ack(); return nil })
			}
			ingest(inlet.Message{Topic: m.Topic(), Payload: m.Payload(), At: time.Now()}, safe)
		}))}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer client.Disconnect(uint(time.Second / time.Millisecond)) // waits for paho to end
	defer nc.Close()
	defer lost()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	resumed, err := s.greetOld(client)
	if !stop() || err != nil {
		return err
	}
	s.speaksOld()
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

// oldOptions are those of the connection nc.
func (s *site) oldOptions(nc *oldConn) *paho3.ClientOptions {
	o := paho3.NewClientOptions().AddBroker(s.config.URL).SetClientID(s.id).SetProtocolVersion(4).
		SetCleanSession(false).SetAutoReconnect(false).SetAutoAckDisabled(true).
		SetConnectTimeout(siteTimeout).
		SetKeepAlive(siteKeepAlive * time.Second / 2).
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

// greetOld connects (MQTT 3.1.1, sections 3.1 and 3.2).
func (s *site) greetOld(client oldClient) (resumed bool, err error) {
	what := fmt.Sprintf("connect to %s as %s", s.config.URL, s.id)
	token := client.Connect().(*paho3.ConnectToken)
	<-token.Done() // siteTimeout at most, or the end of the connection
	if code := token.ReturnCode(); code > 0 && code < 0xf0 {
		return false, fmt.Errorf("%s: %w", what, s.oldRefusal(code))
	}
	if err := token.Error(); err != nil {
		return false, fmt.Errorf("%s: %w (%w)", what, errSilent, err)
	}
	return token.SessionPresent(), nil
}

// oldRefusal explains a return code of CONNACK.
func (s *site) oldRefusal(code byte) error {
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
