package awsiot

import (
	"context"
	"maps"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// catalogueLimit is the most bytes of points in one catalogue message, well
// below what AWS takes.
const catalogueLimit = 100 << 10

// catalogueEntry tells of one device. One with very many points comes in parts.
type catalogueEntry struct {
	payload.Header
	Config string `json:"config,omitempty"` // hash of the configuration
	Device string `json:"device"`
	// Original is what the device is called, if its name was made of that.
	Original string               `json:"original,omitempty"`
	Removed  bool                 `json:"removed,omitempty"`
	Labels   map[string]string    `json:"labels,omitempty"`
	Part     int                  `json:"part,omitempty"` // from 1
	Parts    int                  `json:"parts,omitempty"`
	Points   map[string]pointInfo `json:"points,omitempty"`
	// Book is the hash of all numbers that points have in format protobuf, and Sheets
	// has those of the device, of points that it has no more, too.
	Book   uint32          `json:"book,omitempty"`
	Sheets []payload.Sheet `json:"sheets,omitempty"`
}

type pointInfo struct {
	Original string           `json:"original,omitempty"` // what the device calls the point
	Type     string           `json:"type"`
	Unit     string           `json:"unit,omitempty"`
	Enum     map[int64]string `json:"enum,omitempty"`
}

// toldDevice is what the cloud was told of a device.
type toldDevice struct {
	bridge.DeviceInfo
	points int // that had a number
}

// catalogue tells of the devices that have changed since they were last told.
func (s *status) catalogue(ctx context.Context, devices []bridge.DeviceInfo) error {
	now := make(map[string]bool, len(devices))
	numbered := s.sink.numbered()
	for _, d := range devices {
		now[d.Device] = true
		points := numbered.Points(d.Device)
		if told, ok := s.told[d.Device]; ok && bridge.SameDevice(told.DeviceInfo, d) && told.points == points {
			continue
		}
		if err := s.configuration(ctx); err != nil { // a catalogue takes its time
			return err
		}
		for _, entry := range s.entries(d, numbered) {
			if err := s.tell(ctx, entry); err != nil {
				return err
			}
		}
		s.told[d.Device] = toldDevice{d, points}
	}
	for _, device := range slices.Sorted(maps.Keys(s.told)) {
		if now[device] {
			continue
		}
		if err := s.tell(ctx, catalogueEntry{Header: s.header("catalog"), Config: s.sink.ConfigHash(), Device: device,
			Removed: true}); err != nil {
			return err
		}
		delete(s.told, device)
	}
	return s.gone(ctx, now, numbered)
}

// gone tells who asked for a rebirth the numbers of devices that are gone: what waits in
// the queue may be theirs.
func (s *status) gone(ctx context.Context, now map[string]bool, numbered *proto.Book) error {
	if !s.reborn {
		return nil
	}
	for _, device := range numbered.Devices() {
		if now[device] {
			continue
		}
		for _, entry := range s.entries(bridge.DeviceInfo{Device: device}, numbered) {
			entry.Removed = true
			if err := s.tell(ctx, entry); err != nil {
				return err
			}
		}
	}
	s.reborn = false
	return nil
}

// entries returns the messages for one device.
func (s *status) entries(d bridge.DeviceInfo, numbered *proto.Book) []catalogueEntry {
	fresh := func() catalogueEntry {
		return catalogueEntry{Header: s.header("catalog"), Config: s.sink.ConfigHash(), Device: d.Device,
			Original: d.Original, Labels: d.Labels, Points: make(map[string]pointInfo), Book: numbered.Hash()}
	}
	entries := []catalogueEntry{fresh()}
	size := 0
	last := func(n int) *catalogueEntry {
		if size+n > catalogueLimit && size > 0 {
			entries, size = append(entries, fresh()), 0
		}
		size += n
		return &entries[len(entries)-1]
	}
	for _, p := range d.Points {
		info := pointInfo{Original: p.Original, Type: p.Type, Unit: p.Unit, Enum: p.Enum}
		last(len(p.Name) + len(`"":,`) + len(payload.Encode(info))).Points[p.Name] = info
	}
	for _, sheet := range numbered.Sheets(d.Device) {
		info := payload.NewSheet(sheet)
		e := last(len(payload.Encode(info)) + 1)
		e.Sheets = append(e.Sheets, info)
	}
	if len(entries) > 1 {
		for i := range entries {
			entries[i].Part, entries[i].Parts = i+1, len(entries)
		}
	}
	return entries
}

// tombstone tells what is missing and why.
type tombstone struct {
	payload.Header
	Lost missing `json:"lost"`
}

type missing struct {
	bridge.Tombstone
	Since int64 `json:"since,omitempty"` // epoch milliseconds of the first, if known
	Until int64 `json:"until,omitempty"` // ... and of the last
}

func (s *status) lost(t bridge.Tombstone) tombstone {
	return tombstone{Header: s.header("lost"), Lost: missing{Tombstone: t, Since: millis(t.Since), Until: millis(t.Until)}}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
