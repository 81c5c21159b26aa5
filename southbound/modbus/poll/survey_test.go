package poll

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/plan"
)

// list answers a survey as a device would whose holding registers begin with
// these words, at base.
func list(s *survey, base int, words ...uint16) (asked int) {
	for over := false; !over && asked < 2*plan.SunSpecMost; asked++ {
		at := s.address() - base
		var data []byte
		if at >= 0 && at+2 <= len(words) {
			data = binary.BigEndian.AppendUint16(nil, words[at])
			data = binary.BigEndian.AppendUint16(data, words[at+1])
		}
		over = s.take(data)
	}
	return asked
}

func TestSurveyWalks(t *testing.T) {
	endless := append([]uint16{0x5375, 0x6e53}, slices.Repeat([]uint16{1, 0}, 300)...)
	found := make([]plan.SunSpecModel, plan.SunSpecMost)
	for i := range found {
		found[i] = plan.SunSpecModel{ID: 1, Address: 2 + 2*i}
	}
	for name, tt := range map[string]struct {
		base  int
		words []uint16
		asked int
		want  []plan.SunSpecModel
	}{
		"two models": {50000, []uint16{0x5375, 0x6e53, 1, 1, 9, 103, 0, 0xffff, 0}, 5,
			[]plan.SunSpecModel{{ID: 1, Address: 50002, Length: 1}, {ID: 103, Address: 50005}}},
		"an empty list": {0, []uint16{0x5375, 0x6e53, 0xffff, 0}, 4, []plan.SunSpecModel{}},
		"no end":        {0, endless, 3 + plan.SunSpecMost, found},
		"no list":       {0, nil, 3, nil},
		"another mark":  {40000, []uint16{1, 2, 3, 4}, 3, nil},
		"it breaks off": {40000, []uint16{0x5375, 0x6e53, 1, 9}, 3, []plan.SunSpecModel{{ID: 1, Address: 40002, Length: 9}}},
	} {
		s := survey{wanted: true}
		asked := list(&s, tt.base, tt.words...)
		if asked != tt.asked || !slices.Equal(s.found, tt.want) || (s.found == nil) != (tt.want == nil) {
			t.Errorf("%s: %v in %d requests, want %v in %d", name, s.found, asked, tt.want, tt.asked)
		}
	}
}

func TestSurveyDoubts(t *testing.T) {
	now := time.Now()
	s := survey{wanted: true, last: now, next: now.Add(24 * time.Hour)}
	if s.doubt(now); s.due(now) || !s.due(now.Add(surveyPause)) {
		t.Errorf("a list that was walked just now is walked again at %v", s.next.Sub(now))
	}
	if s.doubt(now.Add(surveyPause + 1)); s.due(now) {
		t.Error("a walk that is wanted already is brought forward")
	}
	s = survey{wanted: true, last: now.Add(-time.Hour), next: now.Add(23 * time.Hour)}
	if s.doubt(now); !s.due(now) {
		t.Error("an old list is not walked again")
	}
}

// FuzzSurvey: whatever a device says, its list ends.
func FuzzSurvey(f *testing.F) {
	f.Add([]byte("SunS\x00\x01\x00\x02abcd\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, answers []byte) {
		s := survey{wanted: true}
		for asked := 0; ; asked++ {
			if at := s.address(); at < 0 || at+2 > 1<<16 {
				t.Fatalf("address %d is asked for", at)
			}
			if asked > plan.SunSpecMost+len(plan.SunSpecBases) {
				t.Fatalf("%d requests", asked)
			}
			var data []byte
			if len(answers) >= 4 {
				data, answers = answers[:4], answers[4:]
			}
			if s.take(data) {
				return
			}
		}
	})
}
