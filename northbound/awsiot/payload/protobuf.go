package payload

import (
	"maps"
	"slices"
	"sync"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// ProtobufType is the content type of messages of format protobuf.
const ProtobufType = "application/protobuf"

// Numbers are those that the points of a gateway have in format protobuf. It is safe for
// concurrent use.
type Numbers interface {
	// Book returns all numbers as they are now; nil has none.
	Book() *proto.Book
	// Unknown is told of a batch with points that have no number, which it may give
	// them. It does not wait.
	Unknown(b *bridge.Batch)
}

// protobuf is the format that packs values by the numbers of their points; see
// [proto] and docs/schemas/readings.proto.
type protobuf struct {
	topic   Topic
	limit   int // bytes of topic, content type and payload
	gateway string
	head    []byte
	numbers Numbers // nil has none
	blocks  bool
	packers sync.Pool
}

func newProtobuf(t Topic, s *Settings, gateway string, labels map[string]string, numbers Numbers) *protobuf {
	f := &protobuf{topic: t, limit: int(s.MaxMessage), gateway: gateway, head: protobufHead(gateway, labels),
		numbers: numbers, blocks: s.Layout == LayoutColumns}
	if s.Names {
		f.numbers = nil
	}
	f.packers.New = func() any { return &proto.Packer{Blocks: f.blocks} }
	return f
}

func protobufHead(gateway string, labels map[string]string) []byte {
	h := proto.Head{Gateway: gateway}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		h.Labels = append(h.Labels, proto.Label{Name: name, Value: labels[name]})
	}
	return h.Append(nil)
}

func (f *protobuf) book() *proto.Book {
	if f.numbers == nil {
		return nil
	}
	return f.numbers.Book()
}

// Topic implements [bridge.Format].
func (f *protobuf) Topic(b *bridge.Batch) string { return f.topic.Fill(b.Device, pointOf(b)) }

// Gathers implements [bridge.Gatherer]: names and the numbers of a block are told once
// for all batches of a device.
func (f *protobuf) Gathers() bool {
	return (f.blocks || f.numbers == nil) && !f.topic.hasDevice() && !f.topic.hasPoint()
}

// space returns what a message leaves for batches, given the size of its topic.
func (f *protobuf) space(topic int) int {
	return f.limit - topic - len(ProtobufType) - len(f.head) - proto.LongestBase
}

// Room implements [bridge.Format].
func (f *protobuf) Room() int { return f.space(f.topic.size(longestName, longestName)) }

// Fit implements [bridge.Format].
func (f *protobuf) Fit(b *bridge.Batch) (n, size int) {
	point := ""
	if len(b.Readings) > 0 {
		point = b.Readings[0].Point
	}
	space := f.space(f.topic.size(b.Device, point))
	n, size, unknown := proto.Fit(f.book(), b, space, f.blocks)
	if unknown && f.numbers != nil {
		f.numbers.Unknown(b)
	}
	if f.topic.hasPoint() && n > 1 {
		one := *b
		one.Readings = one.Readings[:1]
		n, size, _ = proto.Fit(f.book(), &one, space, f.blocks)
	}
	return n, size
}

// Pack implements [bridge.Format].
func (f *protobuf) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	p := f.packers.Get().(*proto.Packer)
	defer f.packers.Put(p)
	first := &entries[0]
	topic := f.Topic(&first.Batch)
	head, book := f.head, f.book()
	if o := first.Origin; o != nil {
		head = protobufHead(o.Gateway, o.Labels)
		if o.Gateway != f.gateway { // its numbers were others
			book = nil
		}
	}
	if !p.Begin(head, book, first, f.limit-len(topic)-len(ProtobufType), MaxBytes) {
		return bridge.Message{}, 1, errTooLarge(first)
	}
	n := 1
	for n < len(entries) && sameMessage(f.topic, first, &entries[n]) && p.Add(&entries[n]) {
		n++
	}
	pooled := scratch.Get().(*[]byte)
	defer scratch.Put(pooled)
	*pooled = p.Append((*pooled)[:0])
	m := message(topic, *pooled)
	m.ContentType = ProtobufType
	return m, n, nil
}
