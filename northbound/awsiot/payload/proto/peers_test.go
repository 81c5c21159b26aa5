package proto

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
)

const schemas = "../../../../docs/schemas"

// The descriptor is what protoc makes of the .proto, and AWS takes one of its length.
func TestDescriptor(t *testing.T) {
	protoc := needtest.Program(t, "protoc")
	out := filepath.Join(t.TempDir(), "readings.desc")
	run := exec.Command(protoc, "--include_imports", "--descriptor_set_out="+out, "readings.proto")
	run.Dir = schemas
	if text, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(schemas, "readings.desc"))
	if err != nil || !bytes.Equal(got, want) || len(got) > 32<<10 {
		t.Errorf("%v: %d bytes, protoc makes %d: make it anew", err, len(got), len(want))
	}
}

// pythonDecoder is Google's own decoder for Python, by the descriptor alone. It answers
// each message, in base64, with its JSON.
const pythonDecoder = `
import base64, sys
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
files = descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[1], "rb").read())
pool = descriptor_pool.DescriptorPool()
for f in files.file:
    pool.Add(f)
kind = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("fieldbridge.Readings"))
for line in sys.stdin:
    data = base64.b64decode(line)
    m = kind.FromString(data)
    assert not m.ListFields() or m.ByteSize() == len(data), (m.ByteSize(), len(data))
    print(json_format.MessageToJson(m, preserving_proto_field_name=True, indent=None))
`

// jsonMessage is a message as AWS's decode() gives it.
type jsonMessage struct {
	V                 uint32
	Gateway, Run      string
	At, Seq           float64
	Book              uint32
	Backlog, Unsynced bool
	Labels            map[string]string
	Texts             []string
	Sheets            []struct {
		Sheet         uint32
		Device, Lists string
		Names         []string
		Places        []byte
	}
	Rows, Picks []jsonRow
	Bads        []struct {
		At         int32
		Seq, Sheet uint32
		Why        string
		Points     []uint32
	}
	Blocks []json.RawMessage
}

type jsonRow struct {
	At                            int32
	Seq, Sheet                    uint32
	Points, Uints, On, Off, Texts []uint32
	Ints                          []int32
	Floats, Doubles               []float64
}

// Google's decoder reads what is packed: all of it, in the shortest form, and as JSON
// no longer than was reckoned.
func TestPython(t *testing.T) {
	python := needtest.Program(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import google.protobuf").Run() != nil {
		needtest.Program(t, "python3-protobuf") // says that it is missing
	}
	run := exec.Command(python, "-c", pythonDecoder, filepath.Join(schemas, "readings.desc"))
	run.Stderr = os.Stderr
	in, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := run.Wait(); err != nil {
			t.Error(err)
		}
	}()
	lines := bufio.NewReader(out)
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 11))
		entries := randomEntries(r, 60)
		if seed%2 == 0 {
			for i, v := range everyValue() {
				entries = append(entries, entry(uint64(i+100), "each", reading("p", v)))
			}
		}
		if seed%3 == 0 {
			for i := range entries {
				entries[i].Backlog, entries[i].Unsynced = true, true
			}
		}
		p, book := styles[seed%4].packer(number(nil, entries[:r.IntN(len(entries))]))
		message, n := pack(t, p, book, entries, most)
		line := base64.StdEncoding.AppendEncode(nil, message)
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
		text, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		head := len(`{"v":1,"gateway":"press-line-2","labels":{"area":"hall-2","site":"brno"}`) + 200
		tight := bytes.ReplaceAll(text, []byte(", "), []byte(",")) // Python puts a blank after each comma
		if len(tight) > p.asJSON()+head {
			t.Errorf("seed %d: %d bytes as JSON, %d were reckoned", seed, len(tight), p.asJSON())
		}
		compare(t, text, message, book, entries[:n])
	}
}

// compare compares what Python read with what we read.
func compare(t *testing.T, text, message []byte, book *Book, entries []bridge.Entry) {
	t.Helper()
	var got jsonMessage
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	ours := check(t, message, book, entries)
	if got.V != 1 || got.Gateway != "press-line-2" || got.Run != ours.Run || int64(got.At) != ours.At ||
		uint64(got.Seq) != ours.Seq || got.Book != ours.Book || got.Labels["site"] != "brno" || len(got.Labels) != 2 ||
		got.Backlog != ours.Backlog || got.Unsynced != ours.Unsynced || !slices.Equal(got.Texts, ours.texts) {
		t.Fatalf("%s, we read %+v", text, ours)
	}
	if len(got.Rows)+len(got.Picks) != len(ours.rows) || len(got.Bads) != len(ours.bads) ||
		len(got.Blocks) != len(ours.blocks) || len(got.Sheets) != len(ours.sheets) {
		t.Fatalf("%d rows and %d picks, %d bad, %d blocks", len(got.Rows), len(got.Picks), len(got.Bads), len(got.Blocks))
	}
	sheets := make(map[uint32]*Sheet)
	for _, s := range got.Sheets {
		mine := ours.sheets[s.Sheet]
		if mine == nil || mine.Device != s.Device || len(s.Names) != len(mine.Points) {
			t.Fatalf("sheet %+v, we have %+v", s, mine)
		}
		sheets[s.Sheet] = mine
	}
	for _, row := range got.Rows { // by the place of a point in its list, as SQL picks it
		s := sheets[row.Sheet]
		if s == nil {
			s = book.Sheet(row.Sheet)
		}
		i := slices.IndexFunc(entries, func(e bridge.Entry) bool {
			return e.Seq == ours.Seq+uint64(row.Seq) && e.Device == s.Device
		})
		if i < 0 || entries[i].At.UnixMilli() != ours.At+int64(row.At) {
			t.Fatalf("no batch of %+v", row)
		}
		for n, p := range s.Points {
			v, ok := row.pick(&p, s.Place(n+1), got.Texts)
			if !ok {
				continue
			}
			j := slices.IndexFunc(entries[i].Readings, func(r bridge.Reading) bool { return r.Point == p.Name })
			if j < 0 || !same(Reading{Point: p.Name, Value: v}, entries[i].Readings[j]) {
				t.Fatalf("%s of %+v: %v", p.Name, row, v)
			}
		}
	}
}

// pick returns the value of a point from its place in its list.
func (r *jsonRow) pick(p *Point, place int, texts []string) (v bridge.Value, ok bool) {
	switch {
	case p.Kind == Uint && place < len(r.Uints):
		return decimalOf(p, int64(r.Uints[place])), r.Uints[place] != NoUint
	case p.Kind == Int && place < len(r.Ints):
		return decimalOf(p, int64(r.Ints[place])), r.Ints[place] != NoInt
	case p.Kind == Float && place < len(r.Floats):
		return bridge.Float32(float32(r.Floats[place])), float32(r.Floats[place]) != NoFloat
	case p.Kind == Double && place < len(r.Doubles):
		return bridge.Float64(r.Doubles[place]), r.Doubles[place] != NoDouble
	case p.Kind == Text && place < len(r.Texts) && r.Texts[place] > 0:
		return bridge.String(texts[r.Texts[place]-1]), true
	case p.Kind == Bool:
		has := func(words []uint32) bool { return place/32 < len(words) && words[place/32]>>(place%32)&1 != 0 }
		return bridge.Bool(has(r.On)), has(r.On) || has(r.Off)
	}
	return bridge.Value{}, math.MaxInt < 0
}
