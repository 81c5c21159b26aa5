package wire

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestIdentify: all objects are asked for, whatever a unit says of its conformity
// and however few fit in an answer; one that would go on for ever is left.
func TestIdentify(t *testing.T) {
	text := func(id byte, s string) []byte { return append([]byte{id, byte(len(s))}, s...) }
	join := func(head []byte, objects ...[]byte) []byte {
		out := append([]byte{43, 14}, head...)
		out = append(out, byte(len(objects)))
		for _, o := range objects {
			out = append(out, o...)
		}
		return out
	}
	three := [][]byte{text(0, "Acme"), text(1, "X"), text(2, "1")}
	for name, tt := range map[string]struct {
		answers map[[2]byte][]byte // by code and first object
		want    []Object
		asked   int
	}{
		"basic alone": {map[[2]byte][]byte{{1, 0}: join([]byte{1, 1, 0, 0}, three...)},
			[]Object{{0, "Acme"}, {1, "X"}, {2, "1"}}, 2},
		"more follows": {map[[2]byte][]byte{{1, 0}: join([]byte{1, 1, 0, 0}, three...),
			{3, 0}:    join([]byte{3, 0x83, 0xff, 0x80}, three...),
			{3, 0x80}: join([]byte{3, 0x83, 0xff, 0x97}, text(0x80, "SN12345678")),
			{3, 0x97}: join([]byte{3, 0x83, 0, 0}, text(0x97, "x"))},
			[]Object{{0, "Acme"}, {1, "X"}, {2, "1"}, {0x80, "SN12345678"}, {0x97, "x"}}, 4},
		"one by one": {map[[2]byte][]byte{{1, 0}: join([]byte{1, 1, 0xff, 1}, three[0]),
			{1, 1}: join([]byte{1, 1, 0xff, 2}, three[1]), {1, 2}: join([]byte{1, 1, 0, 0}, three[2])},
			[]Object{{0, "Acme"}, {1, "X"}, {2, "1"}}, 4},
		"for ever": {map[[2]byte][]byte{{1, 0}: join([]byte{1, 1, 0xff, 1}, three[0]),
			{1, 1}: join([]byte{1, 1, 0xff, 1}, three[1])}, []Object{{0, "Acme"}, {1, "X"}}, 3},
		"not at all": {nil, nil, 1},
		"too short":  {map[[2]byte][]byte{{1, 0}: {43, 14, 1, 1, 0, 0, 2, 0, 9, 65}}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			c := NewClient(NewRelay(func(_ context.Context, _ byte, pdu []byte) ([]byte, error) {
				asked++
				if a := tt.answers[[2]byte{pdu[2], pdu[3]}]; a != nil {
					return a, nil
				}
				return []byte{43 | 0x80, 3}, nil
			}))
			c.To(t.Context(), 1, time.Second)
			got, err := c.Identify()
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
				t.Errorf("%v\n%s", err, diff)
			}
			if asked != tt.asked {
				t.Errorf("asked %d times, want %d", asked, tt.asked)
			}
			if tt.answers == nil {
				if code, ok := ExceptionCode(err); !ok || code != 3 {
					t.Errorf("%v, want exception 3", err)
				}
			} else if protocol := (*ProtocolError)(nil); tt.want == nil && !errors.As(err, &protocol) {
				t.Errorf("%v, want one of the protocol", err)
			}
		})
	}
}

func FuzzParseObjects(f *testing.F) {
	f.Add([]byte{43, 14, 1, 1, 0, 0, 1, 0, 1, 65})
	f.Add(append([]byte{43, 14, 1, 1, 0, 0, 1, 0, 255}, make([]byte, 300)...))
	f.Fuzz(func(t *testing.T, pdu []byte) {
		all, next, err := parseObjects(pdu)
		if err == nil && len(all) > len(pdu) || next < 0 || next > 255 {
			t.Errorf("%d objects, next %d", len(all), next)
		}
	})
}
