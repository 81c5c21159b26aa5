package streams

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"fieldbridge/northbound/awsiot/awsiottest/cbor"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// refusal is why a request is rejected.
type refusal struct{ code, text string }

// Request handles a message if it is a request for a stream.
func (s *Service) Request(from service.Caller, topic string, payload []byte) bool {
	parts := strings.Split(topic, "/")
	if len(parts) != 7 || parts[0] != "$aws" || parts[1] != "things" || parts[3] != "streams" ||
		parts[6] != "json" && parts[6] != "cbor" || parts[5] != "describe" && parts[5] != "get" {
		return false
	}
	prefix, id, format := strings.Join(parts[:5], "/")+"/", parts[4], parts[6]
	q, no := decode(format, payload)
	var answers []map[string]any
	how := "data/"
	switch {
	case no != nil:
	case parts[5] == "describe":
		how = "description/"
		answers, no = s.describe(id, q)
	default:
		answers, no = s.blocks(id, q)
	}
	if no != nil {
		how = "rejected/"
		answer := map[string]any{"o": no.code, "m": no.text, "code": no.code, "message": no.text}
		if q.token != "" {
			answer["c"], answer["clientToken"] = q.token, q.token
		}
		answers = []map[string]any{answer}
	}
	for _, a := range answers {
		from.Subscribed(prefix+how+format, encode(format, a))
	}
	return true
}

// query is a request; what is not given is -1, or nil.
type query struct {
	token                       string
	version, file, size, offset int
	count                       int
	bitmap                      []byte
}

func decode(format string, payload []byte) (q query, no *refusal) {
	q = query{version: -1, file: -1, size: -1, count: -1}
	code := "Invalid" + map[string]string{"json": "Json", "cbor": "Cbor"}[format]
	var v any = map[string]any{}
	var err error
	switch {
	case len(payload) == 0:
	case format == "cbor":
		v, err = cbor.Unmarshal(payload)
	default:
		err = json.Unmarshal(payload, &v)
	}
	fields, ok := v.(map[string]any)
	if err != nil || !ok {
		return q, &refusal{code, "the request is no object"}
	}
	for name, into := range map[string]*int{"s": &q.version, "f": &q.file, "l": &q.size, "o": &q.offset, "n": &q.count} {
		if v, given := fields[name]; given {
			if *into, ok = number(v); !ok {
				return q, &refusal{"InvalidRequest", name + " is no number"}
			}
		}
	}
	if q.token, ok = fields["c"].(string); !ok && fields["c"] != nil || len(q.token) > maximumToken {
		return q, &refusal{"InvalidRequest", "c is a text of at most 64 bytes"}
	}
	switch b := fields["b"].(type) {
	case nil:
	case []byte:
		q.bitmap = b
	case string:
		if q.bitmap, err = hex.DecodeString(strings.TrimPrefix(b, "0x")); err != nil {
			return q, &refusal{"InvalidRequest", "b is no hexadecimal number"}
		}
	default:
		return q, &refusal{"InvalidRequest", "b is no bitmap"}
	}
	return q, nil
}

func number(v any) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), v >= 0 && v <= 1<<31
	case float64:
		return int(v), v == float64(int(v)) && v >= 0 && v <= 1<<31
	}
	return 0, false
}

func encode(format string, v map[string]any) []byte {
	var data []byte
	var err error
	if format == "cbor" {
		data, err = cbor.Marshal(v)
	} else {
		if p, ok := v["p"].([]byte); ok {
			v["p"] = base64.StdEncoding.EncodeToString(p)
		}
		data, err = json.Marshal(v)
	}
	if err != nil {
		panic(err) // we make only what both can say
	}
	return data
}

func (s *Service) describe(id string, q query) ([]map[string]any, *refusal) {
	st, ok := s.Get(id)
	if !ok {
		return nil, &refusal{"ResourceNotFound", "there is no stream " + id}
	}
	var files []any
	for i := range mostFiles {
		if f := st.Files[i]; f != nil {
			data, _, _ := f()
			files = append(files, map[string]any{"f": i, "z": len(data)})
		}
	}
	answer := map[string]any{"s": st.Version, "d": st.Description, "r": files}
	if q.token != "" {
		answer["c"] = q.token
	}
	return []map[string]any{answer}, nil
}

// blocks returns the blocks that were asked for, as far as one answer reaches, and
// as far as they come through.
func (s *Service) blocks(id string, q query) ([]map[string]any, *refusal) {
	st, ok := s.Get(id)
	if !ok {
		return nil, &refusal{"ResourceNotFound", "there is no stream " + id}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Gets++
	if s.faults.MismatchAfter > 0 && s.counts.Blocks >= s.faults.MismatchAfter {
		s.faults.MismatchAfter = 0
		return nil, &refusal{"VersionMismatch", "the stream has another version, on demand"}
	}
	if q.version >= 0 && q.version != st.Version {
		return nil, &refusal{"VersionMismatch", "the stream has another version"}
	}
	f := st.Files[q.file]
	if f == nil {
		return nil, &refusal{"ResourceNotFound", "the stream has no such file"}
	}
	data, tag, ok := f()
	switch {
	case !ok:
		return nil, &refusal{"ResourceNotFound", "the file does not exist any more"}
	case tag != st.tags[q.file]:
		return nil, &refusal{"ETagMismatch", "the file was replaced"}
	}
	wanted, no := q.wanted(len(data))
	if no != nil {
		return nil, no
	}
	var out []map[string]any
	for _, i := range wanted[:min(len(wanted), max(1, maximumGet/q.size))] {
		block := data[i*q.size : min((i+1)*q.size, len(data))]
		s.counts.Blocks++
		s.counts.Bytes += len(block)
		if s.random.Float64() < s.faults.Lose || s.faults.DeafAfter > 0 && s.counts.Blocks > s.faults.DeafAfter {
			s.counts.Lost++
			continue
		}
		answer := map[string]any{"f": q.file, "l": len(block), "i": i, "p": block}
		if q.token != "" {
			answer["c"] = q.token
		}
		out = append(out, answer)
		if s.random.Float64() < s.faults.Duplicate {
			out = append(out, copyOf(answer))
		}
	}
	for i := 1; i < len(out); i++ {
		if s.random.Float64() < s.faults.Reorder {
			out[i-1], out[i] = out[i], out[i-1]
		}
	}
	return out, nil
}

func copyOf(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// wanted returns the numbers of the blocks that a request asks for, of a file with
// size bytes.
func (q *query) wanted(size int) (numbers []int, no *refusal) {
	switch {
	case q.size < minimumBlock || q.size > maximumBlock:
		return nil, &refusal{"BlockSizeOutOfBounds", "a block has 256 to 131,072 bytes"}
	case q.offset > mostOffset:
		return nil, &refusal{"OffsetOutOfBounds", "the first block is 0 to 98,304"}
	case q.count > mostOffset:
		return nil, &refusal{"BlockCountLimitExceeded", "at most 98,304 blocks are asked for"}
	case len(q.bitmap) > mostBitmap:
		return nil, &refusal{"BlockBitmapLimitExceeded", "a bitmap has at most 12,288 bytes"}
	case q.bitmap == nil && q.count < 1:
		return nil, &refusal{"InvalidRequest", "neither a number of blocks nor a bitmap"}
	}
	last := (size - 1) / q.size
	if q.offset > last {
		return nil, &refusal{"InvalidRequest", "the first block is out of the range of the file"}
	}
	if q.bitmap == nil {
		for i := q.offset; i <= last && len(numbers) < q.count; i++ {
			numbers = append(numbers, i)
		}
		return numbers, nil
	}
	for i, b := range q.bitmap {
		for bit := range 8 {
			if b>>bit&1 == 0 {
				continue
			}
			n := q.offset + i*8 + bit
			if n > last {
				return nil, &refusal{"InvalidRequest", "the bitmap is out of the range of the file"}
			}
			numbers = append(numbers, n)
		}
	}
	if q.count > 0 && len(numbers) > q.count {
		numbers = slices.Clip(numbers[:q.count])
	}
	return numbers, nil
}
