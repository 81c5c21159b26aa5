package awsiottest

import (
	"strings"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/northbound/awsiot/awsiottest/things"
)

// maximumSubscriptions is how many filters one connection may have.
const maximumSubscriptions = 50

// OnSubscribe refuses filters. The broker is given something invalid for each
// that is refused, and the SUBACK is corrected when it is sent.
func (h *hook) OnSubscribe(cl *mochi.Client, pk packets.Packet) packets.Packet {
	c := h.cloud.client(cl.ID)
	if cl.Net.Inline || c == nil || c.mochi != cl {
		return pk
	}
	h.cloud.counts.other(len(filtersOf(pk)))
	if script := h.cloud.subscribeScript.Load(); script != nil && *script != nil {
		for _, f := range pk.Filters {
			if !(*script)(cl.ID, f.Filter) {
				c.wire.reset()
			}
		}
	}
	codes := make([]byte, len(pk.Filters))
	held := cl.State.Subscriptions.Len()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range pk.Filters {
		f := &pk.Filters[i]
		switch _, known := cl.State.Subscriptions.Get(f.Filter); {
		case f.Qos > 1:
			// Such a SUBSCRIBE is never answered.
			c.silent[pk.PacketID] = true
			codes[i] = packets.ErrUnspecifiedError.Code
		case filterTooLong(f.Filter) || reserved(f.Filter, c, true):
			codes[i] = packets.ErrTopicFilterInvalid.Code
		case !h.cloud.allowed(c.who, "iot:Subscribe", "topicfilter/"+unshared(f.Filter)):
			codes[i] = packets.ErrNotAuthorized.Code
		case !known && held >= maximumSubscriptions:
			codes[i] = packets.ErrQuotaExceeded.Code
		case !known:
			held++
		}
		if codes[i] != 0 {
			f.Filter = ""
			continue
		}
		if strings.ContainsAny(f.Filter, "+#") {
			f.RetainHandling = 2 // wildcards never get retained messages
		}
		c.subscribing[f.Filter] = true
	}
	c.suback[pk.PacketID] = codes
	return pk
}

func filtersOf(pk packets.Packet) string {
	var all strings.Builder
	for _, f := range pk.Filters {
		all.WriteString(f.Filter)
	}
	return all.String()
}

// OnSubscribed tells of what was subscribed to.
func (h *hook) OnSubscribed(cl *mochi.Client, pk packets.Packet, codes []byte) {
	c := h.cloud.client(cl.ID)
	if cl.Net.Inline || c == nil || c.mochi != cl {
		return
	}
	e := c.event("subscribed")
	c.mu.Lock()
	for i, f := range pk.Filters {
		delete(c.subscribing, f.Filter)
		if codes[i] < 0x80 {
			e.Topics = append(e.Topics, f.Filter)
		}
	}
	c.mu.Unlock()
	if len(e.Topics) > 0 {
		h.cloud.emit("subscriptions/subscribed", e)
	}
}

// OnACLCheck decides about a delivery. Publishing is decided in OnPublish, and
// subscribing in OnSubscribe.
func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	c := h.cloud.client(cl.ID)
	if write || c == nil || c.mochi != cl {
		return write || c == nil
	}
	c.mu.Lock()
	subscribing := c.subscribing[topic]
	c.mu.Unlock()
	if subscribing {
		return true
	}
	if !h.cloud.allowed(c.who, "iot:Receive", "topic/"+topic) {
		return false
	}
	for filter := range cl.State.Subscriptions.GetAll() {
		if matches(unshared(filter), topic) {
			return true
		}
	}
	return false
}

// matches reports whether a topic matches a filter as AWS sees it: a/# does not
// match a.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return len(t) > i
		case i >= len(t), level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

// unshared returns the filter of a shared subscription.
func unshared(filter string) string {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return filter
}

func filterTooLong(filter string) bool { return topicTooLong(unshared(filter)) }

// reserved reports whether a topic or filter begins with $ and is not one that
// AWS serves. Nobody subscribes to Basic Ingest.
func reserved(topic string, c *client, subscribe bool) bool {
	topic = unshared(topic)
	if !strings.HasPrefix(topic, "$") {
		return false
	}
	if strings.HasPrefix(topic, "$aws/rules/") {
		return subscribe
	}
	if strings.HasPrefix(topic, "$aws/commands/") {
		return !things.Serves(topic, c.who.thing, c.mochi.ID, subscribe)
	}
	for _, known := range []string{"$aws/things/" + c.who.thing + "/", "$aws/things/+/", "$aws/events/",
		"$aws/certificates/", "$aws/provisioning-templates/"} {
		if strings.HasPrefix(topic, known) {
			return false
		}
	}
	return true
}

// replayPause is the pace at which a resumed session is given what it missed.
const replayPause = 100 * time.Millisecond

// OnQosPublish runs before each message that a resumed session gets again.
func (h *hook) OnQosPublish(cl *mochi.Client, _ packets.Packet, _ int64, _ int) {
	c := h.cloud.client(cl.ID)
	if c == nil || c.mochi != cl || !c.resuming.Load() {
		return
	}
	select {
	case <-time.After(replayPause):
	case <-c.wire.closed:
	}
}
