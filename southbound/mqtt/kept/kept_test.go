package kept

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Unix(1_700_000_000, 0)

func TestPack(t *testing.T) {
	all := []Message{{Topic: "tele/x/LWT", Payload: []byte("Online"), QoS: 1, Owner: "hall\x00x"},
		{Topic: "a", Payload: []byte{0, 255}},
		{Topic: "b", Payload: []byte("x"), Expires: now.Unix() + 1},
		{Topic: "gone", Payload: []byte("x"), Expires: now.Unix() - 1}}
	value, left, err := Pack(all)
	if err != nil || left != 0 {
		t.Fatal(left, err)
	}
	got, err := Unpack(value, now)
	if err != nil {
		t.Fatal(err)
	}
	byTopic := func(a, b Message) int { return bytes.Compare([]byte(a.Topic), []byte(b.Topic)) }
	want := slices.Clone(all[:3])
	slices.SortFunc(want, byTopic)
	slices.SortFunc(got, byTopic)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	slices.Reverse(all)
	if again, _, _ := Pack(all); !bytes.Equal(again, value) {
		t.Error("another order gives another value")
	}
	if got, err := Unpack(nil, now); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

// What there is no room for is the longest; the value is never too large.
func TestPackIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	var all []Message
	for i := range 50 {
		all = append(all, Message{Topic: fmt.Sprint("long/", i), Payload: noise(10 << 10)},
			Message{Topic: fmt.Sprint("short/", i), Payload: noise(10)})
	}
	all = append(all, Message{Topic: "huge", Payload: make([]byte, 20<<20)})
	value, left, err := Pack(all)
	if err != nil || len(value) > most || left < 45 || left > 50 {
		t.Fatalf("%d bytes, %d left, %v", len(value), left, err)
	}
	got, err := Unpack(value, now)
	if err != nil || len(got)+left != len(all) || len(got[0].Payload) != 10 {
		t.Errorf("%d are read back, %v", len(got), err)
	}
}

// TestApart: a day's values are a megabyte.
func TestApart(t *testing.T) {
	for _, n := range []int{0, 1000, most} {
		writes := int(24 * time.Hour / Apart(n))
		if sum := writes * (n + perWrite); sum > aDay || sum < aDay*9/10 {
			t.Errorf("of %d bytes %d a day: %d bytes", n, writes, sum)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	value, _, _ := Pack([]Message{{Topic: "a", Payload: []byte("b")}})
	f.Add(value)
	f.Fuzz(func(t *testing.T, value []byte) {
		all, err := Unpack(value, now)
		if err != nil {
			return
		}
		if again, left, err := Pack(all); err != nil || left == 0 && len(again) == 0 {
			t.Errorf("%v, %d left", err, left)
		}
	})
}
