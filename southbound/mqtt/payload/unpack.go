package payload

import (
	"errors"
	"strings"

	"github.com/tidwall/gjson"

	"fieldbridge/southbound/mqtt/packed"
	"fieldbridge/southbound/mqtt/topic"
)

// Unpack returns the text of a payload that is compressed or in a binary format,
// for [Rule.Read] and [Rule.ReadSeveral]; any other as it is. contentType is what
// the sender calls it, "" if nothing.
func (r *Rule) Unpack(payload []byte, contentType string) ([]byte, Fault) {
	if len(payload) == 0 {
		return payload, FaultNone
	}
	if Exact && r.format != Bytes && r.format != CBOR && r.format != Msgpack {
		payload = utf8Of(payload)
	}
	if r.format != Bytes && packed.Compressed(payload) || r.tree() && packed.CompressedJSON(payload) {
		text, err := packed.Inflate(payload)
		switch {
		case errors.Is(err, packed.ErrLarge):
			return nil, FaultLarge
		case err != nil:
			return nil, FaultInflate
		}
		payload = text
	}
	format := r.format
	if format == "" && contentType != "" {
		format = formatOf(contentType)
	}
	var err error
	switch format {
	case CBOR:
		if payload, err = packed.CBOR(payload); err != nil {
			return nil, FaultCBOR
		}
	case Msgpack:
		if payload, err = packed.MessagePack(payload); err != nil {
			return nil, FaultMsgpack
		}
	default:
		return payload, FaultNone
	}
	if r.single != nil && !r.Several() { // as if it were the whole payload
		payload = []byte(gjson.Parse(topic.View(payload)).String())
	}
	return payload, FaultNone
}

// tree reports whether payloads are JSON, or what could be.
func (r *Rule) tree() bool {
	return !r.lines && r.format != Bytes && r.format != PlainText && (r.single == nil || r.Several())
}

// formatOf returns the format that a content type stands for, "" if none.
func formatOf(contentType string) string {
	name, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "application/cbor", "application/senml+cbor":
		return CBOR
	case "application/msgpack", "application/x-msgpack", "application/vnd.msgpack":
		return Msgpack
	}
	return ""
}
