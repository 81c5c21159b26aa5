package site

import (
	"context"

	"github.com/eclipse/paho.golang/paho"
)

// dialect is a connection to a site broker, as far as the versions of MQTT
// differ. Its methods wait for the broker's answer.
type dialect interface {
	// subscribe returns a code for each subscription, 0x80 and more for those
	// that are refused.
	subscribe(ctx context.Context, subs []Subscription) ([]byte, error)
	unsubscribe(ctx context.Context, filter string) error
	// publish sends a message with QoS 0.
	publish(ctx context.Context, topic string, payload []byte, retain bool) error
	// identifies reports whether a subscription has an identifier, and so a packet
	// of its own.
	identifies() bool
	// resubscribes reports whether a subscription that the broker has already
	// can be asked for again without its retained messages.
	resubscribes() bool
}

// client5 is a [dialect] that speaks MQTT 5.
type client5 struct {
	*paho.Client
	identified bool
}

// hasIdentifiers reports whether a broker takes subscription identifiers (MQTT 5,
// section 3.2.2.3.12).
func hasIdentifiers(c *paho.Connack) bool {
	return c.Properties == nil || c.Properties.SubIDAvailable
}

// identifiers returns those of the subscriptions that a message came for.
func identifiers(p *paho.Publish) []int {
	if p.Properties == nil || p.Properties.SubscriptionIdentifier == nil {
		return nil
	}
	return []int{*p.Properties.SubscriptionIdentifier}
}

func (c client5) identifies() bool { return c.identified }

func (c client5) subscribe(ctx context.Context, subs []Subscription) ([]byte, error) {
	packet := &paho.Subscribe{}
	for _, s := range subs {
		// Retained messages only if the subscription is new: after a
		// reconnection they would be old readings with a new time.
		packet.Subscriptions = append(packet.Subscriptions,
			paho.SubscribeOptions{Topic: s.Filter, QoS: s.QoS, RetainHandling: 1})
	}
	if c.identified && len(subs) == 1 {
		id := identifier(subs[0].Filter)
		packet.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	suback, err := c.Subscribe(ctx, packet)
	if suback == nil {
		return nil, err
	}
	return suback.Reasons, nil // an error is a reason, too
}

func (c client5) unsubscribe(ctx context.Context, filter string) error {
	_, err := c.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{filter}})
	return err
}

func (c client5) publish(ctx context.Context, topic string, payload []byte, retain bool) error {
	_, err := c.Publish(ctx, &paho.Publish{Topic: topic, Payload: payload, Retain: retain})
	return err
}

func (c client5) resubscribes() bool { return true }
