package broker

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/kept"
)

// firstSave is when after the start what is retained is saved first.
const firstSave = time.Minute

// keeper saves the retained messages of a broker and brings them back. It is of
// Run and of what Run starts.
type keeper struct {
	broker *Broker
	state  bridge.State
	last   []byte // what is on the disk
	left   int    // of those that were retained
}

func (k *keeper) key() string { return fmt.Sprintf("mqtt.retained.%x", k.broker.name) }

// restore brings back what was retained when the broker ended.
func (k *keeper) restore() {
	value, err := k.state.Get(k.key())
	var all []kept.Message
	if err == nil {
		k.last = value
		all, err = kept.Unpack(value, time.Now())
	}
	if err != nil {
		k.broker.log.Warn("the retained messages are lost: sensors send them when they connect again", "err", err)
	}
	e := k.broker
	for _, m := range all {
		if e.memory.Retain(m.Owner, m.Topic, m.Payload) {
			e.server.Topics.RetainMessage(packets.Packet{ProtocolVersion: 5, Created: time.Now().Unix(), Expiry: m.Expires,
				FixedHeader: packets.FixedHeader{Type: packets.Publish, Retain: true, Qos: m.QoS},
				TopicName:   m.Topic, Payload: m.Payload, Origin: m.Owner})
		}
	}
	atomic.StoreInt64(&e.server.Info.Retained, int64(e.server.Topics.Retained.Len()))
}

// run saves now and then, until done is closed.
func (k *keeper) run(done <-chan struct{}) {
	next := time.NewTimer(firstSave)
	defer next.Stop()
	for {
		select {
		case <-done:
			return
		case <-next.C:
		}
		k.save()
		next.Reset(kept.Apart(len(k.last)))
	}
}

// save writes what is retained, if it is not on the disk already.
func (k *keeper) save() {
	var all []kept.Message
	for topic, pk := range k.broker.server.Topics.Retained.GetAll() {
		m := kept.Message{Topic: topic, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Owner: pk.Origin}
		if pk.ProtocolVersion == 5 {
			m.Expires = max(pk.Expiry, 0)
		}
		if topic != "" && topic[0] != '$' { // those the broker makes itself
			all = append(all, m)
		}
	}
	value, left, err := kept.Pack(all)
	if err == nil && !bytes.Equal(value, k.last) && (len(all) > 0 || len(k.last) > 0) {
		if err = k.state.Put(k.key(), value); err == nil {
			k.last = value
		}
	}
	if err != nil {
		k.broker.log.Warn("the retained messages are not saved: a restart takes them", "err", err)
	}
	if left > 0 && left != k.left {
		k.broker.log.Warn("not all retained messages survive a restart: the longest have no room", "left", left,
			"of", len(all))
	}
	k.left = left
}
