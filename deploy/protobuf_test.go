package deploy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// numbers are those of the golden messages.
type numbers struct{ book *proto.Book }

func (n numbers) Book() *proto.Book     { return n.book }
func (n numbers) Unknown(*bridge.Batch) {}

// goldenBatches are a boiler that is read twice, with all that a value can be.
func goldenBatches() []bridge.Entry {
	noon := time.UnixMilli(1763887500123)
	entry := func(seq uint64, after time.Duration, device string, readings ...bridge.Reading) bridge.Entry {
		return bridge.Entry{Run: "3k7q9x2m", Seq: seq, Batch: bridge.Batch{Device: device, At: noon.Add(after),
			Readings: readings}}
	}
	r := func(point string, v bridge.Value) bridge.Reading { return bridge.Reading{Point: point, Value: v} }
	boiler := func(t float64, n uint64, on bool) []bridge.Reading {
		return []bridge.Reading{r("supply_temp", bridge.Float64(t)), r("starts", bridge.Uint(n)), r("power", bridge.Int(-3)),
			r("flow", bridge.Float32(71.5234)), r("energy", bridge.Uint(1<<40)), r("running", bridge.Bool(on)),
			r("mode", bridge.String("auto"))}
	}
	return []bridge.Entry{
		entry(1042, 0, "boiler", boiler(71.5, 7, true)...),
		entry(1043, 1000*time.Millisecond, "boiler", boiler(71.6, 8, false)...),
		entry(1044, 1100*time.Millisecond, "meter", r("v", bridge.Uint(230)), r("new", bridge.Float64(0.1+0.2))),
		entry(1045, 2000*time.Millisecond, "boiler", r("supply_temp", bridge.Bad(bridge.ReasonTimeout)),
			r("starts", bridge.Bad(bridge.ReasonTimeout)), r("running", bridge.Bool(true)),
			r("energy", bridge.Uint(1<<63)), r("mode", bridge.String("hand"))),
	}
}

// The Lambda makes of messages of format protobuf, in each layout, what format rows would
// have told; and so does our own reader.
func TestProtobuf(t *testing.T) {
	entries := goldenBatches()
	book := new(proto.Book)
	var catalogue []byte
	for i, e := range entries[1:3] {
		var points []proto.Point
		for _, one := range e.Readings[:len(e.Readings)-i] { // "new" has no number yet
			hint := proto.Hint{Places: -1}
			if one.Point == "supply_temp" {
				hint = proto.Hint{Type: "uint16", Places: 1}
			}
			points = append(points, proto.PointFor(one.Point, one.Value, hint))
		}
		book, _ = book.Add(e.Device, points, nil)
	}
	var reader payload.Reader
	for n := range uint32(2) {
		sheet := book.Sheet(n + 1)
		told := payload.Encode(map[string]any{"v": 1, "gateway": "press-line-2", "run": "3k7q9x2m", "type": "catalog",
			"at": int64(1763887500000), "device": sheet.Device, "book": book.Hash(),
			"sheets": []payload.Sheet{payload.NewSheet(sheet)}})
		reader.Learn(told)
		catalogue = append(append(catalogue, told...), '\n')
	}
	golden(t, "catalogue.jsonl", catalogue)
	labels := map[string]string{"site": "brno"}
	rows, err := payload.New(&payload.Settings{Topic: "t", Format: payload.Rows, MaxMessage: 5000}, "press-line-2",
		labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := rows.Pack(entries)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "rows.json", append(want.Payload, '\n'))
	python := needtest.Program(t, "python3")
	for name, s := range map[string]payload.Settings{"rows": {}, "columns": {Layout: payload.LayoutColumns},
		"names": {Names: true}} {
		s.Topic, s.Format, s.MaxMessage = "t", payload.Protobuf, 5000
		f, err := payload.New(&s, "press-line-2", labels, numbers{book})
		if err != nil {
			t.Fatal(err)
		}
		m, n, err := f.Pack(entries)
		if err != nil || n != len(entries) {
			t.Fatalf("%s: %d packed, %v", name, n, err)
		}
		text := append(base64.StdEncoding.AppendEncode(nil, m.Payload), '\n')
		golden(t, name+".base64", text)
		run := exec.Command(python, "-B", "index.py", "golden/catalogue.jsonl")
		run.Dir, run.Stdin, run.Stderr = "protobuf", bytes.NewReader(text), os.Stderr
		got, err := run.Output()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parsed(t, want.Payload), parsed(t, got)); diff != "" {
			t.Errorf("%s by the Lambda: %s", name, diff)
		}
		ours, err := reader.Rows(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parsed(t, want.Payload), parsed(t, ours)); diff != "" {
			t.Errorf("%s by ourselves: %s", name, diff)
		}
	}
}

// parsed returns JSON as values.
func parsed(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// golden compares what was made with a file; UPDATE=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("protobuf", "golden", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}
