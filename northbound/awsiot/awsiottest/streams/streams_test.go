package streams

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/cbor"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// ask sends a request and returns what came: how, and the answers.
func ask(t *testing.T, s *Service, format, what string, request map[string]any) (how string, answers []map[string]any) {
	t.Helper()
	data, err := json.Marshal(request)
	if format == "cbor" {
		data, err = cbor.Marshal(request)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Request(service.Caller{Subscribed: func(topic string, payload []byte) {
		parts := strings.Split(topic, "/")
		how = parts[5]
		var v any
		if parts[6] == "cbor" {
			v, err = cbor.Unmarshal(payload)
		} else {
			err = json.Unmarshal(payload, &v)
		}
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, v.(map[string]any))
	}}, "$aws/things/g/streams/s/"+what+"/"+format, data)
	if how == "rejected" {
		how = answers[0]["o"].(string)
	}
	return how, answers
}

func file(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	return data
}

func newService(t *testing.T, data []byte) *Service {
	t.Helper()
	s := New()
	if err := s.Put(Stream{ID: "s", Description: "a file", Files: map[int]Object{3: Bytes(data)}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWholeFile: with bitmaps a file comes through what loses, doubles and disorders
// it, in both formats.
func TestWholeFile(t *testing.T) {
	want := file(300_000)
	for _, format := range []string{"json", "cbor"} {
		s := newService(t, want)
		how, a := ask(t, s, format, "describe", map[string]any{"c": "x"})
		text := fmt.Sprint(a[0]["c"], a[0]["s"], a[0]["d"], a[0]["r"])
		if how != "description" || text != "x0a file[map[f:3 z:300000]]" {
			t.Errorf("%s: %s", how, text)
		}
		s.Disturb(Faults{Seed: 1, Lose: 0.2, Duplicate: 0.2, Reorder: 0.3, MismatchAfter: 40})
		const size = 4096
		blocks := (len(want) + size - 1) / size
		missing := make([]byte, (blocks+7)/8)
		for i := range blocks {
			missing[i/8] |= 1 << (i % 8)
		}
		got, refused := make([]byte, len(want)), 0
		for tries := 0; !bytes.Equal(missing, make([]byte, len(missing))); tries++ {
			if tries > 30 {
				t.Fatal("the file does not come")
			}
			how, answers := ask(t, s, format, "get", map[string]any{"f": 3, "l": size, "n": 1000,
				"b": fmt.Sprintf("%x", missing)})
			if how == "VersionMismatch" {
				refused++
				continue
			}
			for _, a := range answers {
				p, ok := a["p"].([]byte)
				if !ok {
					p, _ = base64.StdEncoding.DecodeString(a["p"].(string))
				}
				i, _ := number(a["i"])
				if l, _ := number(a["l"]); l != len(p) {
					t.Errorf("block %d has %d bytes, and says %d", i, len(p), l)
				}
				copy(got[i*size:], p)
				missing[i/8] &^= 1 << (i % 8)
			}
		}
		if n := s.Counts(); !bytes.Equal(got, want) || n.Lost == 0 || refused != 1 {
			t.Errorf("%s: %+v, %d refusals", format, n, refused)
		}
	}
}

// TestOneAnswer: at most 128 KiB come at once.
func TestOneAnswer(t *testing.T) {
	s := newService(t, file(1<<20))
	for size, want := range map[int]int{131072: 1, 65536: 2, 100_000: 1, 256: 512} {
		if how, a := ask(t, s, "cbor", "get", map[string]any{"f": 3, "l": size, "n": 4000}); len(a) != want {
			t.Errorf("%s: %d blocks of %d bytes", how, len(a), size)
		}
	}
	// The last one is shorter, and what is beyond it is not there.
	s = newService(t, file(1000))
	_, a := ask(t, s, "json", "get", map[string]any{"f": 3, "l": 256, "o": 3, "n": 9})
	if len(a) != 1 || a[0]["l"] != 232.0 {
		t.Errorf("the last block: %v", a)
	}
}

func TestRefusals(t *testing.T) {
	s := newService(t, file(1000))
	get := func(q map[string]any) string { how, _ := ask(t, s, "json", "get", q); return how }
	for name, tt := range map[string]struct {
		request map[string]any
		want    string
	}{
		"well":             {map[string]any{"f": 3, "l": 256, "n": 1, "s": 0}, "data"},
		"version":          {map[string]any{"f": 3, "l": 256, "n": 1, "s": 1}, "VersionMismatch"},
		"file":             {map[string]any{"f": 4, "l": 256, "n": 1}, "ResourceNotFound"},
		"small":            {map[string]any{"f": 3, "l": 255, "n": 1}, "BlockSizeOutOfBounds"},
		"large":            {map[string]any{"f": 3, "l": 131073, "n": 1}, "BlockSizeOutOfBounds"},
		"offset":           {map[string]any{"f": 3, "l": 256, "n": 1, "o": 98305}, "OffsetOutOfBounds"},
		"beyond":           {map[string]any{"f": 3, "l": 256, "n": 1, "o": 4}, "InvalidRequest"},
		"many":             {map[string]any{"f": 3, "l": 256, "n": 98305}, "BlockCountLimitExceeded"},
		"bit beyond":       {map[string]any{"f": 3, "l": 256, "b": "1f"}, "InvalidRequest"},
		"all bits":         {map[string]any{"f": 3, "l": 256, "b": "0x0f"}, "data"},
		"long bitmap":      {map[string]any{"f": 3, "l": 256, "b": strings.Repeat("0", 2*12289)}, "BlockBitmapLimitExceeded"},
		"no hex":           {map[string]any{"f": 3, "l": 256, "b": "x"}, "InvalidRequest"},
		"neither":          {map[string]any{"f": 3, "l": 256}, "InvalidRequest"},
		"long token":       {map[string]any{"f": 3, "l": 256, "n": 1, "c": strings.Repeat("x", 65)}, "InvalidRequest"},
		"a half block":     {map[string]any{"f": 3, "l": 256.5, "n": 1}, "InvalidRequest"},
		"a negative block": {map[string]any{"f": 3, "l": 256, "n": 1, "o": -1}, "InvalidRequest"},
	} {
		if got := get(tt.request); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	content, tag := file(1000), "a"
	object := func() ([]byte, string, bool) { return content, tag, true }
	if err := s.Put(Stream{ID: "s", Files: map[int]Object{3: object}}); err != nil {
		t.Fatal(err)
	}
	well := map[string]any{"f": 3, "l": 256, "n": 1, "s": 1}
	got := []string{get(well)}
	tag = "b"
	got = append(got, get(well))
	s.Delete("s")
	got = append(got, get(well))
	if diff := cmp.Diff([]string{"data", "ETagMismatch", "ResourceNotFound"}, got); diff != "" {
		t.Errorf("a file that is replaced, and a stream that is deleted (-want +got):\n%s", diff)
	}
	if err := s.Put(Stream{ID: "s", Files: map[int]Object{0: Bytes(make([]byte, maximumFile+1))}}); err == nil {
		t.Error("a file of more than 24 MB is taken")
	}
}

// FuzzRequest: no request makes the service fall over, and no answer is larger than
// AWS's.
func FuzzRequest(f *testing.F) {
	f.Add(true, []byte(`{"f":3,"l":256,"n":1,"o":1,"c":"x","b":"0x01"}`))
	f.Add(false, []byte("\xa3\x61f\x03\x61l\x19\x10\x00\x61n\x01"))
	f.Fuzz(func(t *testing.T, asJSON bool, payload []byte) {
		s, format, size := newService(t, file(300_000)), map[bool]string{true: "json", false: "cbor"}[asJSON], 0
		s.Request(service.Caller{Subscribed: func(_ string, p []byte) { size += len(p) }},
			"$aws/things/g/streams/s/get/"+format, payload)
		if n := s.Counts().Bytes; n > maximumGet || size == 0 && n > 0 {
			t.Errorf("%d bytes in one answer", n)
		}
	})
}
