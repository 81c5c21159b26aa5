package weigh

import "testing"

// TestStrangersByAddress: the address that has most connections loses one, the
// oldest that has asked for nothing.
func TestStrangersByAddress(t *testing.T) {
	var s Strangers[int]
	for i := range MaxStrangers {
		from := "192.0.2.1"
		if i < 2 {
			from = "192.0.2.2" // older
		}
		if _, full := s.Add(i, from); full {
			t.Fatalf("%d are too many", i)
		}
	}
	s.Asks(2)
	if out, full := s.Add(MaxStrangers, "192.0.2.3"); !full || out != 3 {
		t.Errorf("%d had to go", out)
	}
	if len(s) != MaxStrangers {
		t.Errorf("%d are left", len(s))
	}
	s.Remove(0)
	if _, full := s.Add(MaxStrangers+1, "192.0.2.3"); full {
		t.Error("somebody had to go for a free place")
	}
}
