package plan

import (
	"slices"
	"testing"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// inquire asks a device that refuses what answers does not allow, until all is
// known; it returns that and how many requests it took.
func inquire(t *testing.T, b *Block, answers func(first, count int) bool) (Learnt, int) {
	t.Helper()
	queue := b.Dissect(false, Limits{Words: 125, Bits: 2000})
	for asked := 1; len(queue) > 0; asked++ {
		p := queue[0]
		queue = queue[1:]
		next, bad := []*Part(nil), false
		if answers(p.First, p.Count) {
			next = p.Answered()
		} else if next, bad = p.Refused("exception 4, device failure"); bad && len(p.Fields) != 1 {
			t.Errorf("%d points at %d are given up together", len(p.Fields), p.First)
		}
		queue = append(next, queue...)
		if l, done := p.Conclude(Learnt{}, true); done {
			return l, asked
		}
	}
	t.Fatal("an inquiry without a conclusion")
	return Learnt{}, 0
}

func TestInquiry(t *testing.T) {
	var fields []*point.Field
	for i := range 20 {
		fields = append(fields, &point.Field{Table: wire.Holding, Address: 2 * i, Words: 1, Special: point.Plain})
	}
	block := OfTable(fields, Limits{Words: 125, Gap: -1}, Cost{Request: 1e9})[0]
	if block.Count != 39 {
		t.Fatalf("a block of %d registers", block.Count)
	}
	for name, test := range map[string]struct {
		refused point.Span // addresses
		most    int
		holes   []Refused
	}{
		"a point":  {point.Span{First: 14, End: 15}, 125, []Refused{{wire.Holding, 14, 15, "exception 4, device failure"}}},
		"a gap":    {point.Span{First: 13, End: 14}, 125, []Refused{{wire.Holding, 13, 14, "exception 4, device failure"}}},
		"a length": {point.Span{}, 16, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, asked := inquire(t, &block, func(first, count int) bool {
				touches := first < test.refused.End && test.refused.First < first+count
				return !touches && count <= test.most
			})
			if !slices.Equal(l.Holes, test.holes) {
				t.Errorf("holes %v, want %v", l.Holes, test.holes)
			}
			if test.most < block.Count && (l.Words.Low > test.most || l.Words.High <= test.most) {
				t.Errorf("from %d to %d registers, the device takes %d", l.Words.Low, l.Words.High, test.most)
			}
			if test.holes != nil && l.Words.High != 0 {
				t.Errorf("a hole was taken for a length: %v", l.Words)
			}
			if asked > 24 {
				t.Errorf("%d requests", asked)
			}
		})
	}
}
