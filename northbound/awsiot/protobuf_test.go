package awsiot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// subscriber knows what the status topic has said.
type subscriber struct {
	sheets map[uint32]*proto.Sheet
	books  map[uint32]bool
	gone   []string // devices
}

// listen reads the status messages from the n-th on.
func (r *rig) listen(n int) *subscriber {
	r.t.Helper()
	s := &subscriber{sheets: make(map[uint32]*proto.Sheet), books: make(map[uint32]bool)}
	for _, m := range r.arrived("fieldbridge/gateway-1/status")[n:] {
		var e catalogueEntry
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			r.t.Fatal(err)
		}
		if e.Type != "catalog" {
			continue
		}
		if e.Book != 0 {
			s.books[e.Book] = true
		}
		if e.Removed {
			s.gone = append(s.gone, e.Device)
		}
		for _, sheet := range e.Sheets {
			points := make([]proto.Point, len(sheet.Names))
			for i := range points {
				points[i] = proto.Point{Name: sheet.Names[i], Kind: proto.Kind(sheet.Lists[i])}
				if sheet.Places != nil {
					points[i].Places = sheet.Places[i]
				}
			}
			s.sheets[sheet.Sheet] = proto.NewSheet(sheet.Sheet, sheet.Device, points)
		}
	}
	return s
}

// read returns the readings of all messages from the n-th on, as text, sorted.
func (s *subscriber) read(r *rig, n int) []string {
	r.t.Helper()
	var all []string
	for _, m := range r.arrived("plant/gateway-1")[n:] {
		got, err := proto.Read(m.Payload)
		if err != nil {
			r.t.Fatal(err)
		}
		batches, err := got.Batches(func(n uint32) *proto.Sheet { return s.sheets[n] })
		if err != nil {
			r.t.Fatal(err)
		}
		if len(got.Used()) > 0 && !s.books[got.Book] {
			r.t.Errorf("a message uses book %x, the catalogue has %v", got.Book, s.books)
		}
		if m.ContentType != payload.ProtobufType || got.Gateway != "gateway-1" {
			r.t.Errorf("content type %q, gateway %q", m.ContentType, got.Gateway)
		}
		for _, b := range batches {
			for _, one := range b.Readings {
				text := one.Value.String()
				if one.Bad != "" {
					text = "bad: " + one.Bad
				}
				all = append(all, fmt.Sprint(b.Device, " ", one.Point, " ", text))
			}
		}
	}
	slices.Sort(all)
	return all
}

// A gateway with format protobuf: what its messages have is read by the catalogue of its
// status topic, a restart moves no number, and a rebirth tells those of what is gone.
func TestProtobuf(t *testing.T) {
	var options Options
	bubble(t, func(cfg *Config, o *Options) {
		cfg.Format, cfg.Linger = payload.Protobuf, 0
		o.Catalogue.Put(bridge.DeviceInfo{Device: "boiler", Points: []bridge.PointInfo{{Name: "t", Type: "uint16",
			Places: 1}, {Name: "on", Type: "bool"}, {Name: "mode", Type: "string"}}})
		o.Catalogue.Put(bridge.DeviceInfo{Device: "old", Points: []bridge.PointInfo{{Name: "x", Type: "int16"}}})
		options = *o
	}, func(r *rig) {
		queue := bridgetest.NewQueue()
		batch := func(device string, readings ...bridge.Reading) {
			r.t.Helper()
			b := bridge.Batch{Device: device, At: time.Now(), Readings: readings}
			r.sink.Format().Fit(&b)
			queue.Append(b, nil)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		boiler := func() {
			batch("boiler", reading("t", bridge.Float64(21.3)), reading("on", bridge.Bool(true)),
				reading("mode", bridge.String("auto")))
		}
		start := func() func() {
			forwarder := bridge.NewForwarder(queue, r.sink.Format(), bridge.ForwardConfig{LiveShare: 0.8}, quiet)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); _ = r.sink.Run(ctx, forwarder.Serve) }()
			time.Sleep(time.Second)
			return func() { cancel(); <-ended }
		}
		stop := start()
		boiler()
		batch("old", reading("x", bridge.Int(-3)))
		boiler()
		batch("boiler", reading("t", bridge.Bad(bridge.ReasonTimeout)), reading("on", bridge.Bool(false)))
		all := r.listen(0)
		want := []string{"boiler mode auto", "boiler mode auto", "boiler on false", "boiler on true", "boiler on true",
			"boiler t 21.3", "boiler t 21.3", "boiler t bad: timeout", "old x -3"}
		if got := all.read(r, 0); !slices.Equal(got, want) {
			t.Errorf("arrived: %q, want %q", got, want)
		}
		options.Catalogue.Remove("old")
		time.Sleep(10 * time.Second)
		stop()

		// The next process has the numbers, and a reader who has lost them asks.
		r.sink = r.next(options)
		before, status := len(r.arrived("plant/gateway-1")), len(r.arrived("fieldbridge/gateway-1/status"))
		stop = start()
		defer stop()
		boiler()
		batch("old", reading("x", bridge.Int(5)))
		if got := all.read(r, before); len(got) != 4 {
			t.Errorf("with the numbers of before: %q", got)
		}
		if late := r.listen(status); late.sheets[2] != nil || late.sheets[1] == nil {
			t.Errorf("the catalogue has %v", late.sheets)
		}
		r.sink.rebirth()
		time.Sleep(10 * time.Second)
		late := r.listen(status)
		if got := late.read(r, before); len(got) != 4 || !slices.Equal(late.gone, []string{"old"}) {
			t.Errorf("with what a rebirth tells: %q, gone are %q", got, late.gone)
		}
		for n, s := range all.sheets {
			if again := late.sheets[n]; again == nil || string(again.Append(nil)) != string(s.Append(nil)) {
				t.Errorf("sheet %d was %+v, is %+v", n, s, again)
			}
		}
	})
}

// With names each message is read by itself, and the catalogue has no numbers.
func TestProtobufWithNames(t *testing.T) {
	bubble(t, func(cfg *Config, o *Options) {
		cfg.Format, cfg.Names, cfg.Layout = payload.Protobuf, true, payload.LayoutColumns
		o.Catalogue.Put(bridge.DeviceInfo{Device: "d", Points: []bridge.PointInfo{{Name: "p", Type: "uint16"}}})
	}, func(r *rig) {
		r.start()
		<-r.links
		b := bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{reading("p", bridge.Uint(7))}}
		r.sink.Format().Fit(&b)
		m, _, err := r.sink.Format().Pack([]bridge.Entry{{Run: "r", Seq: 1, Batch: b}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := proto.Read(m.Payload)
		if err != nil || got.Book != 0 || len(got.Used()) != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		if batches, err := got.Batches(nil); err != nil || batches[0].Readings[0].Value != bridge.Uint(7) {
			t.Errorf("%+v, %v", batches, err)
		}
		time.Sleep(10 * time.Second)
		if late := r.listen(0); len(late.sheets) > 0 || !strings.Contains(strings.Join(r.types(), " "), "catalog") {
			t.Errorf("the catalogue has %v", late.sheets)
		}
	})
}
