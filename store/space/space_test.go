package space

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/store/disk"
)

// TestQuota: a disk that has room by its figures and says that it is full is believed
// after three tries over two seconds, and not when a moment is to blame.
func TestQuota(t *testing.T) {
	dir := t.TempDir()
	const ms = int64(time.Millisecond)
	full := errors.Join(errors.New("commit"), syscall.EDQUOT)
	for name, tt := range map[string]struct {
		at    []int64 // when writes fail, in ms; a negative one succeeds
		tight bool
	}{
		"once":                    {[]int64{10}, false},
		"many in a moment":        {[]int64{10, 11, 12, 13, 14, 15, 1900}, false},
		"twice over long":         {[]int64{10, 60_000}, false},
		"three times over long":   {[]int64{10, 1010, 3010}, true},
		"and one that succeeds":   {[]int64{10, 1010, -2000, 3010, 3020, 3030}, false},
		"begun anew and stays so": {[]int64{10, -20, 1010, 2010, 3010}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var s Space
			now := int64(0)
			for _, at := range tt.at {
				if now = max(at, -at) * ms; at < 0 {
					s.Succeeded()
				} else {
					s.Failed(full, now)
				}
			}
			s.Ask(dir, now, 1, 1)
			if s.Tight() != tt.tight || s.Allows(1) == tt.tight {
				t.Errorf("tight %v, allows %v", s.Tight(), s.Allows(1))
			}
			why, advice := s.Full(dir)
			if strings.Contains(advice, "raise the quota") != tt.tight || strings.Contains(why, "takes no more") != tt.tight {
				t.Errorf("%q: %q", why, advice)
			}
		})
	}
}

// TestCredit: what a dropped segment gave may be written, and no more.
func TestCredit(t *testing.T) {
	var s Space
	s.Gave(100)
	s.Ask(t.TempDir(), 1, 1<<62, 1) // nothing has so much room
	if _, advice := s.Full(t.TempDir()); !s.Tight() || s.Allows(1) || !strings.Contains(advice, "make room") {
		t.Fatalf("%+v, %s", s, advice)
	}
	s.Gave(100)
	s.Wrote(40)
	if !s.Allows(60) || s.Allows(61) {
		t.Errorf("60 bytes are left: %+v", s)
	}
	s.Ask(t.TempDir(), int64(2*time.Second), 1, 1)
	if _, advice := s.Full(""); s.Tight() || advice != "restore the uplink, or raise store.max_size" {
		t.Errorf("there is room: %+v", s)
	}
}

// TestMinFree: what is left for others is told as that, and not as a queue or a disk
// that is full.
func TestMinFree(t *testing.T) {
	dir := t.TempDir()
	free, err := disk.Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	for least, want := range map[int64][2]string{
		free * 4: {"than store.min_free, ", "lower store.min_free"},
		1:        {"the queue is full and", "restore the uplink, or raise store.max_size"},
	} {
		var s Space
		s.Ask(dir, 1, least, 1)
		if why, advice := s.Full(dir); !strings.Contains(why, want[0]) || !strings.Contains(advice, want[1]) ||
			strings.Contains(advice, "min_free") != strings.Contains(why, "min_free") {
			t.Errorf("at least %d of %d: %q, %q", least, free, why, advice)
		}
	}
	var s Space
	s.Failed(syscall.ENOSPC, 1)
	s.Ask(dir, 1, free*4, 1)
	if why, advice := s.Full(dir); !strings.Contains(why, " is full (") || strings.Contains(advice, "min_free") {
		t.Errorf("a disk that says it is full: %q, %q", why, advice)
	}
}
