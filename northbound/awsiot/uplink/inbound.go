package uplink

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/eclipse/paho.golang/paho"
)

// filtersAtOnce is how many filters AWS takes in one SUBSCRIBE.
const filtersAtOnce = 8

// Inbound is a message from the cloud.
type Inbound struct {
	Topic         string
	Payload       []byte
	ResponseTopic string // where an answer is to go, if anywhere
	Correlation   []byte // to be told with the answer
}

// inbound hands messages from the cloud to who wants them, by topic. AWS also
// sends what nobody has subscribed to; that is left alone.
type inbound struct {
	mu       sync.Mutex
	handlers map[string]func(Inbound) // guarded by mu; by topic
	below    map[string]func(Inbound) // guarded by mu; by the beginning of topics
}

// Handle sets who gets the messages of a topic. f must not block.
func (s *Session) Handle(topic string, f func(Inbound)) {
	i := &s.inbound
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.handlers == nil {
		i.handlers = make(map[string]func(Inbound))
	}
	i.handlers[topic] = f
}

// HandleBelow is [Session.Handle] for all topics that begin with prefix; nil ends it.
func (s *Session) HandleBelow(prefix string, f func(Inbound)) {
	i := &s.inbound
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.below == nil {
		i.below = make(map[string]func(Inbound))
	}
	i.below[prefix] = f
	if f == nil {
		delete(i.below, prefix)
	}
}

func (i *inbound) handler(topic string) func(Inbound) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if f := i.handlers[topic]; f != nil {
		return f
	}
	for prefix, f := range i.below {
		if strings.HasPrefix(topic, prefix) {
			return f
		}
	}
	return nil
}

func (i *inbound) received(p paho.PublishReceived) (bool, error) {
	f := i.handler(p.Packet.Topic)
	if f == nil {
		return false, nil
	}
	m := Inbound{Topic: p.Packet.Topic, Payload: p.Packet.Payload}
	if properties := p.Packet.Properties; properties != nil {
		m.ResponseTopic, m.Correlation = properties.ResponseTopic, properties.CorrelationData
	}
	f(m)
	return true, nil
}

// Subscribe subscribes to topics whose handlers are set.
func (s *Session) Subscribe(ctx context.Context, topics ...string) error {
	return s.subscribe(ctx, 1, topics)
}

// SubscribeLossy is [Session.Subscribe] for what is asked for again when it is lost:
// it takes nothing of what the cloud may have in flight.
func (s *Session) SubscribeLossy(ctx context.Context, topics ...string) error {
	return s.subscribe(ctx, 0, topics)
}

// Unsubscribe ends subscriptions.
func (s *Session) Unsubscribe(ctx context.Context, topics ...string) error {
	_, err := s.client.Unsubscribe(ctx, &paho.Unsubscribe{Topics: topics})
	return err
}

func (s *Session) subscribe(ctx context.Context, qos byte, topics []string) error {
	for len(topics) > 0 {
		n := min(len(topics), filtersAtOnce)
		request := new(paho.Subscribe)
		for _, t := range topics[:n] {
			request.Subscriptions = append(request.Subscriptions, paho.SubscribeOptions{Topic: t, QoS: qos})
		}
		ack, err := s.client.Subscribe(ctx, request)
		if ack != nil {
			for i, code := range ack.Reasons {
				if code >= 0x80 {
					return fmt.Errorf("subscribe to %s: SUBACK 0x%02X: the certificate's policy must allow iot:Subscribe and "+
						"iot:Receive", topics[i], code)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", topics[0], err)
		}
		topics = topics[n:]
	}
	return nil
}
