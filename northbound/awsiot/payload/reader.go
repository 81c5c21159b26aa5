package payload

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// Sheet is a message Sheet of docs/schemas/readings.proto as JSON: the catalogue has
// them.
type Sheet struct {
	Sheet  uint32   `json:"sheet"`
	Device string   `json:"device"`
	Names  []string `json:"names"`
	Lists  string   `json:"lists"`
	Places []byte   `json:"places,omitempty"` // in base64
}

// NewSheet returns s as the catalogue tells it.
func NewSheet(s *proto.Sheet) Sheet {
	info := Sheet{Sheet: s.Number, Device: s.Device}
	lists, places := make([]byte, len(s.Points)), make([]byte, len(s.Points))
	scaled := false
	for i, p := range s.Points {
		info.Names = append(info.Names, p.Name)
		lists[i], places[i] = byte(p.Kind), p.Places
		scaled = scaled || p.Places > 0
	}
	if info.Lists = string(lists); scaled {
		info.Places = places
	}
	return info
}

// Reader reads messages of format protobuf, by the catalogues that it has seen. The zero
// value has seen none. It is not safe for concurrent use.
type Reader struct {
	sheets map[string]map[uint32]*proto.Sheet // by gateway and number
}

// Learn takes a message of the status topic. It reports whether that has numbers.
func (r *Reader) Learn(status []byte) bool {
	var m struct {
		Gateway, Type string
		Sheets        []Sheet
	}
	if json.Unmarshal(status, &m) != nil || m.Type != "catalog" {
		return false
	}
	if r.sheets == nil {
		r.sheets = make(map[string]map[uint32]*proto.Sheet)
	}
	known := r.sheets[m.Gateway]
	if known == nil {
		known = make(map[uint32]*proto.Sheet)
		r.sheets[m.Gateway] = known
	}
	learnt := false
	for _, s := range m.Sheets {
		if len(s.Lists) != len(s.Names) || len(s.Places) > 0 && len(s.Places) != len(s.Names) {
			continue
		}
		points := make([]proto.Point, len(s.Names))
		for i := range points {
			points[i] = proto.Point{Name: s.Names[i], Kind: proto.Kind(s.Lists[i])}
			if len(s.Places) > 0 {
				points[i].Places = s.Places[i]
			}
		}
		if one := proto.NewSheet(s.Sheet, s.Device, points); one.Valid() {
			known[s.Sheet], learnt = one, true
		}
	}
	return learnt
}

// Rows returns a message of format protobuf as it would be in format rows. It returns a
// [*proto.Unknown] if a catalogue is missing.
func (r *Reader) Rows(message []byte) ([]byte, error) {
	m, err := proto.Read(message)
	if err != nil {
		return nil, fmt.Errorf("it is no message of format protobuf: %w", err)
	}
	known := r.sheets[m.Gateway]
	batches, err := m.Batches(func(n uint32) *proto.Sheet { return known[n] })
	if err != nil {
		return nil, err
	}
	var v envelope
	origin := &bridge.Origin{Gateway: m.Gateway, Labels: m.Labels}
	first := bridge.Entry{Run: m.Run, Backlog: m.Backlog, Origin: origin, Batch: bridge.Batch{Unsynced: m.Unsynced}}
	b := append(v.marks(v.begin(nil, &first), &first), rowsOpen...)
	for i, batch := range batches {
		e := bridge.Entry{Seq: batch.Seq, Batch: bridge.Batch{Device: batch.Device, At: time.UnixMilli(batch.At)}}
		for _, one := range batch.Readings {
			if one.Bad != "" {
				one.Value = bridge.Bad(bridge.ReasonOf(one.Bad))
			}
			e.Readings = append(e.Readings, bridge.Reading{Point: one.Point, Value: one.Value})
		}
		b, _ = rowsAppend(b, &e, math.MaxInt, i > 0)
	}
	return append(b, rowsTail...), nil
}
