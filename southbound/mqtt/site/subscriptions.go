package site

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"fieldbridge/southbound/mqtt/topic"
)

// maxFilters is how many filters one SUBSCRIBE carries: small enough for
// brokers with a limit, AWS has 8.
const maxFilters = 8

// subscribe makes the subscriptions of a connection those that are wanted; have
// is what they are. Filters that the broker refuses are remembered and hurt no
// other.
func (s *Client) subscribe(ctx context.Context, client dialect, have *[]Subscription) error {
	s.mu.Lock()
	wanted := slices.Clone(s.wanted)
	s.denied = nil
	s.mu.Unlock()
	for _, old := range *have {
		if slices.ContainsFunc(wanted, func(w Subscription) bool { return w.Filter == old.Filter }) {
			continue
		}
		if err := client.unsubscribe(ctx, old.Filter); err != nil {
			return fmt.Errorf("unsubscribe from %s: %w", old.Filter, err)
		}
	}
	ask := wanted
	if !client.resubscribes() {
		ask = slices.DeleteFunc(slices.Clone(wanted), func(w Subscription) bool { return slices.Contains(*have, w) })
	}
	found := newCopies(wanted)
	s.copies.Store(found)
	for _, some := range found.packets(ask, client.identifies()) {
		reasons, err := client.subscribe(ctx, some)
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		s.noteDenied(some, reasons)
	}
	s.mu.Lock()
	*have = slices.DeleteFunc(wanted, func(w Subscription) bool { return s.denialLocked(w.Filter) != nil })
	s.mu.Unlock()
	s.remember(*have)
	return nil
}

// denial is a filter that the broker refused.
type denial struct {
	filter string
	reason byte // of SUBACK
}

func (s *Client) denialLocked(filter string) *denial {
	for i := range s.denied {
		if s.denied[i].filter == filter {
			return &s.denied[i]
		}
	}
	return nil
}

// Subscription says how it is with the subscription to a filter that is wanted:
// "granted", or why it is not. A filter that another covers is asked for with that
// one.
func (s *Client) Subscription(filter string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wanted {
		if w.Filter != filter && covers(w.Filter, filter) && !slices.ContainsFunc(s.wanted,
			func(o Subscription) bool { return o.Filter == filter }) {
			filter = w.Filter
		}
	}
	d := s.denialLocked(filter)
	switch {
	case d != nil:
		return fmt.Sprintf("refused (0x%02x)", d.reason)
	case s.fault != nil:
		return "not connected"
	case slices.ContainsFunc(s.known, func(k Subscription) bool { return k.Filter == filter }):
		return "granted"
	}
	return "not asked for yet"
}

func covers(a, b string) bool {
	wide, err := topic.Parse(a)
	if err != nil {
		return false
	}
	narrow, err := topic.Parse(b)
	return err == nil && wide.Covers(&narrow)
}

// The broker keeps our subscriptions while we are away, also those of rules that
// are gone when we come back: so they are remembered here too.

// remember keeps the subscriptions of this connection for the next.
func (s *Client) remember(subs []Subscription) {
	s.mu.Lock()
	same := s.known != nil && slices.Equal(s.known, subs)
	s.known = append([]Subscription{}, subs...)
	s.mu.Unlock()
	if same {
		return
	}
	select {
	case s.learned <- struct{}{}:
	default:
	}
}

// save puts what is known into the state when it has changed, until done is
// closed: no connection waits for a disk.
func (s *Client) save(done <-chan struct{}) {
	for {
		select {
		case <-s.learned:
			s.put()
		case <-done:
			select {
			case <-s.learned:
				s.put()
			default:
			}
			return
		}
	}
}

func (s *Client) put() {
	if s.state == nil {
		return
	}
	filters := make(map[string]byte) // with their QoS
	s.mu.Lock()
	for _, sub := range s.known {
		filters[sub.Filter] = sub.QoS
	}
	s.mu.Unlock()
	b, err := json.Marshal(filters)
	if err == nil {
		err = s.state.Put(s.stateKey(), b)
	}
	if err != nil {
		s.log.Warn("cannot remember the subscriptions: those of rules that are removed later stay at the broker", "err", err)
	}
}

// remembered returns the subscriptions of an earlier connection.
func (s *Client) remembered() []Subscription {
	s.mu.Lock()
	known := slices.Clone(s.known)
	s.mu.Unlock()
	if known != nil || s.state == nil {
		return known
	}
	b, err := s.state.Get(s.stateKey())
	var filters map[string]byte
	if err != nil || json.Unmarshal(b, &filters) != nil {
		return nil
	}
	var subs []Subscription
	for _, filter := range slices.Sorted(maps.Keys(filters)) {
		subs = append(subs, Subscription{filter, filters[filter]})
	}
	return subs
}

// noteDenied remembers which subscriptions the broker refuses.
func (s *Client) noteDenied(subs []Subscription, reasons []byte) {
	for i, reason := range reasons {
		if reason < 0x80 || i >= len(subs) {
			continue
		}
		s.mu.Lock()
		s.denied = append(s.denied, denial{subs[i].Filter, reason})
		s.mu.Unlock()
		s.log.Debug("the site broker refuses a subscription", "topic", subs[i].Filter,
			"code", fmt.Sprintf("0x%02x", reason))
	}
}
