package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/payload"
)

// reading is one line of the table.
type reading struct {
	at            int64 // Unix milliseconds
	device, point string
	text          string
}

// table prints readings below one another. It is for one goroutine at a time.
type table struct {
	widths [3]int // of gateway, device and point so far
	seen   seen
}

// seen is what readers of messages have seen: the numbers of format protobuf. It is for
// one goroutine at a time.
type seen struct{ reader payload.Reader }

// text returns the payload of a message, one of format protobuf as format rows has it, if
// its numbers are known.
func (s *seen) text(m awsiottest.Message) []byte {
	if m.ContentType != payload.ProtobufType {
		s.reader.Learn(m.Payload)
		return m.Payload
	}
	rows, err := s.reader.Rows(m.Payload)
	if err != nil {
		return m.Payload
	}
	return rows
}

// print prints what a message holds: its readings, or for people what else it is.
func (t *table) print(w io.Writer, m awsiottest.Message) {
	var head struct{ Gateway, Type string }
	text := t.seen.text(m)
	all, err := readings(text)
	if err != nil || json.Unmarshal(text, &head) != nil || len(all) == 0 {
		what := head.Type
		if what == "" {
			what = fmt.Sprintf("%d bytes", len(m.Payload))
		}
		fmt.Fprintf(w, "%s  -- %s on %q\n", m.At.UTC().Format("15:04:05.000"), strconv.QuoteToGraphic(what), m.Topic)
		return
	}
	for _, r := range all {
		columns := [3]string{plain(head.Gateway), plain(r.device), plain(r.point)}
		for i, c := range columns {
			t.widths[i] = max(t.widths[i], len(c))
		}
		fmt.Fprintf(w, "%s  %-*s  %-*s  %-*s  %s\n", time.UnixMilli(r.at).UTC().Format("15:04:05.000"), t.widths[0],
			columns[0], t.widths[1], columns[1], t.widths[2], columns[2], plain(r.text))
	}
}

// plain returns a text that a terminal shows and does not obey.
func plain(text string) string {
	var value string
	if strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &value) == nil {
		return strconv.QuoteToGraphic(value) // a text of JSON has its quotes already
	}
	quoted := strconv.QuoteToGraphic(text)
	if unquoted := quoted[1 : len(quoted)-1]; unquoted == text {
		return text
	}
	return quoted
}

// ofFlat are the keys of the flat format that are no points.
var ofFlat = []string{"v", "gateway", "timestamp", "device", "run", "seq", "backlog", "clock", "labels", "bad"}

// readings returns what a message of any format holds: of each batch its points,
// sorted.
func readings(payload []byte) (all []reading, err error) {
	var m struct {
		Batches []struct {
			Device string
			At     int64
			Points map[string]json.RawMessage
			Bad    map[string]string
		}
		Devices []struct {
			Device string
			At     []int64
			Points map[string][]json.RawMessage
			Bad    map[string]map[string]string
		}
		Device    string
		Timestamp int64
		Bad       map[string]string
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, err
	}
	add := func(at int64, device string, points map[string]json.RawMessage, bad map[string]string) {
		texts := make(map[string]string)
		for name, v := range points {
			texts[name] = string(v)
		}
		for name, why := range bad {
			texts[name] = "bad: " + why
		}
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			all = append(all, reading{at, device, name, texts[name]})
		}
	}
	for _, b := range m.Batches {
		add(b.At, b.Device, b.Points, b.Bad)
	}
	for _, d := range m.Devices {
		at := int64(0)
		for i, step := range d.At {
			at += step
			points, bad := make(map[string]json.RawMessage), make(map[string]string)
			for name, column := range d.Points {
				if i < len(column) && !bytes.Equal(column[i], []byte("null")) {
					points[name] = column[i]
				}
			}
			for name, why := range d.Bad {
				if code, ok := why[strconv.Itoa(i)]; ok {
					bad[name] = code
				}
			}
			add(at, d.Device, points, bad)
		}
	}
	if m.Device != "" && m.Timestamp != 0 {
		var points map[string]json.RawMessage
		if err := json.Unmarshal(payload, &points); err != nil {
			return nil, err
		}
		for _, key := range ofFlat {
			delete(points, key)
		}
		add(m.Timestamp, m.Device, points, m.Bad)
	}
	return all, nil
}
