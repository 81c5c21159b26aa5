package sparkplug

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// What Eclipse Tahu compresses is read as what it was, and a message in a message
// in a message is not.
func TestCompressed(t *testing.T) {
	pack := func(inner string, with func(io.Writer) io.WriteCloser) []byte {
		var body bytes.Buffer
		w := with(&body)
		_, _ = w.Write([]byte(inner))
		_ = w.Close()
		b := protowire.AppendTag(nil, 4, protowire.BytesType)
		b = protowire.AppendString(b, compressed)
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		return protowire.AppendBytes(b, body.Bytes())
	}
	inner := spark(7, met("t", 0, 9, 21.5))
	deflate := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	for name, b := range map[string][]byte{"DEFLATE": pack(inner, deflate),
		"GZIP": pack(inner, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })} {
		m, err := parse(b)
		if err != nil || m.seq != 7 || len(m.metrics) != 1 || m.metrics[0].name != "t" || m.timestamp == 0 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if m, err := parse(pack(string(pack(inner, deflate)), deflate)); err != nil || len(m.metrics) != 0 {
		t.Errorf("twice: %+v, %v", m, err)
	}
	if _, err := parse(pack(string(make([]byte, 8<<20)), deflate)); err == nil {
		t.Error("a bomb is inflated")
	}
	if _, err := parse(pack(inner, deflate)[:40]); err == nil {
		t.Error("half a message is read")
	}
}
