package awsiot

import (
	"context"
	"maps"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// catalogueLimit is the most bytes of points in one catalogue message, well
// below what AWS takes.
const catalogueLimit = 100 << 10

// catalogueEntry tells of one device. One with very many points comes in parts.
type catalogueEntry struct {
	payload.Header
	Config  string               `json:"config,omitempty"` // hash of the configuration
	Device  string               `json:"device"`
	Removed bool                 `json:"removed,omitempty"`
	Labels  map[string]string    `json:"labels,omitempty"`
	Part    int                  `json:"part,omitempty"` // from 1
	Parts   int                  `json:"parts,omitempty"`
	Points  map[string]pointInfo `json:"points,omitempty"`
}

type pointInfo struct {
	Type string           `json:"type"`
	Unit string           `json:"unit,omitempty"`
	Enum map[int64]string `json:"enum,omitempty"`
}

// catalogue tells of the devices that have changed since they were last told.
func (s *status) catalogue(ctx context.Context, devices []bridge.DeviceInfo) error {
	now := make(map[string]bool, len(devices))
	for _, d := range devices {
		now[d.Device] = true
		if told, ok := s.told[d.Device]; ok && bridge.SameDevice(told, d) {
			continue
		}
		if err := s.configuration(ctx); err != nil { // a catalogue takes its time
			return err
		}
		for _, entry := range s.entries(d) {
			if err := s.tell(ctx, entry); err != nil {
				return err
			}
		}
		s.told[d.Device] = d
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
	return nil
}

// entries returns the messages for one device.
func (s *status) entries(d bridge.DeviceInfo) []catalogueEntry {
	fresh := func() catalogueEntry {
		return catalogueEntry{Header: s.header("catalog"), Config: s.sink.ConfigHash(), Device: d.Device,
			Labels: d.Labels, Points: make(map[string]pointInfo)}
	}
	entries := []catalogueEntry{fresh()}
	size := 0
	for _, p := range d.Points {
		info := pointInfo{Type: p.Type, Unit: p.Unit, Enum: p.Enum}
		n := len(p.Name) + len(`"":,`) + len(payload.Encode(info))
		if size+n > catalogueLimit && size > 0 {
			entries, size = append(entries, fresh()), 0
		}
		entries[len(entries)-1].Points[p.Name] = info
		size += n
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
