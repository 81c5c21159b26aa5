package decoded

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
)

const want = `{"v":1,"gateway":"g","run":"r","backlog":true,"labels":{"site":"brno"},"batches":[{"seq":7,` +
	`"device":"boiler","at":1763887500123,"points":{"t":71.5,"on":true},"bad":{"e":"exception_2"}}]}` + "\n"

// message returns a message, and the catalogue that it needs.
func message(t *testing.T) (body, catalogue []byte) {
	t.Helper()
	book, _ := new(proto.Book).Add("boiler", []proto.Point{{Name: "t", Kind: proto.Uint, Places: 1},
		{Name: "on", Kind: proto.Bool}, {Name: "e", Kind: proto.Double}}, nil)
	e := bridge.Entry{Run: "r", Seq: 7, Backlog: true, Batch: bridge.Batch{Device: "boiler",
		At: time.UnixMilli(1763887500123), Readings: []bridge.Reading{{Point: "t", Value: bridge.Float64(71.5)},
			{Point: "on", Value: bridge.Bool(true)},
			{Point: "e", Value: bridge.Bad(bridge.Exception(2))}}}}
	h := proto.Head{Gateway: "g", Labels: []proto.Label{{Name: "site", Value: "brno"}}}
	var p proto.Packer
	if !p.Begin(h.Append(nil), book, &e, 5000, 5000) {
		t.Fatal("it does not fit")
	}
	catalogue, err := json.Marshal(map[string]any{"v": 1, "gateway": "g", "type": "catalog", "device": "boiler",
		"sheets": []payload.Sheet{payload.NewSheet(book.Sheet(1))}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Append(nil), catalogue
}

func TestPrint(t *testing.T) {
	body, catalogue := message(t)
	file := filepath.Join(t.TempDir(), "status")
	text := "fieldbridge/g/status {\"type\":\"online\"}\nfieldbridge/g/status " + string(catalogue) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := base64.StdEncoding.EncodeToString(body)
	for name, tt := range map[string]struct {
		in         string
		catalogues []string
		want, err  string
	}{
		"as published":    {string(body), []string{file}, want, ""},
		"base64":          {base, []string{file}, want, ""},
		"two lines":       {base + "\r\n\n" + hex.EncodeToString(body) + "\n", []string{file}, want + want, ""},
		"with catalogue":  {string(catalogue) + "\n" + base + "\n", nil, want, ""},
		"no catalogue":    {base, nil, "", "sheet 1 of gateway g is not known"},
		"none in file":    {base, []string{empty}, "", "has no catalogue with numbers"},
		"no file":         {base, []string{file + "x"}, "", "no such file"},
		"JSON":            {want, nil, "", "is no message"},
		"nothing":         {"\n", nil, "", "there is no message"},
		"not protobuf":    {"\x00\x01", nil, "", "no message of format protobuf"},
		"another message": {"\x12\x01g", nil, "", "version 0"},
	} {
		var out strings.Builder
		err := Print(&out, strings.NewReader(tt.in), tt.catalogues)
		if out.String() != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}
