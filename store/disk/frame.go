package disk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// frameMagic begins a frame: then come the CRC-32C of the value (little endian)
// and the value.
const frameMagic = "FBS1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame returns value as the content of a small file that is read whole, with
// its checksum before it.
func Frame(value []byte) []byte {
	data := make([]byte, 0, len(frameMagic)+4+len(value))
	data = append(data, frameMagic...)
	data = binary.LittleEndian.AppendUint32(data, crc32.Checksum(value, castagnoli))
	return append(data, value...)
}

// Unframe returns the value of a frame; ok is false when it is not as it was
// written.
// The value is a part of data.
func Unframe(data []byte) (value []byte, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(frameMagic))
	if !ok || len(rest) < 4 {
		return nil, false
	}
	value = rest[4:]
	return value, crc32.Checksum(value, castagnoli) == binary.LittleEndian.Uint32(rest)
}
