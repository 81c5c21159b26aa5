package change

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/flate"

	"fieldbridge/bridge"
	"fieldbridge/configs"
)

// Keys of the state.
const (
	goodKey  = "config.good"
	trialKey = "config.trial"
)

// good is the last configuration that worked.
type good struct {
	Hash   string    `json:"hash"`
	Origin string    `json:"origin"` // the file that it came from
	Since  time.Time `json:"since"`
	YAML   []byte    `json:"yaml"` // a snapshot, gzip
}

// trial is a configuration that is not known to work.
type trial struct {
	Hash string `json:"hash"`
	// Starts is how often the gateway was started with it.
	Starts int `json:"starts"`
	// Confirm says that it is undone unless it is confirmed.
	Confirm bool `json:"confirm"`
	// Refused is why it was taken back; it is not used again by itself.
	Refused string `json:"refused,omitempty"`
}

// load reads a record; what is not there or cannot be read is zero.
func load[T any](state bridge.State, key string) (record T) {
	data, err := state.Get(key)
	if err != nil || data == nil {
		return record
	}
	if json.Unmarshal(data, &record) != nil {
		var zero T
		return zero
	}
	return record
}

func save[T any](state bridge.State, key string, record T) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return state.Put(key, data)
}

// pack makes a snapshot small. It is called when a gateway needs its most memory,
// so it takes little: a gzip member (RFC 1952) around what is packed statelessly, piece
// by piece. The gzip writers of libraries bring 100 KB and more of program.
func pack(l *configs.Loaded) []byte {
	b := bytes.NewBuffer([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	body, sum, size := flate.NewStatelessWriter(b), crc32.NewIEEE(), count(0)
	_ = l.WriteSnapshot(io.MultiWriter(body, sum, &size)) // none of them fails
	_ = body.Close()
	end := binary.LittleEndian.AppendUint32(nil, sum.Sum32())
	b.Write(binary.LittleEndian.AppendUint32(end, uint32(size)))
	return bytes.Clone(b.Bytes())
}

// count counts the bytes written to it, modulo 2³² as gzip does.
type count uint32

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

// unpack loads a snapshot.
func (g good) unpack() (*configs.Loaded, error) {
	r, err := gzip.NewReader(bytes.NewReader(g.YAML))
	if err != nil {
		return nil, fmt.Errorf("last good configuration: %w", err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("last good configuration: %w", err)
	}
	return configs.Parse(g.Origin, text)
}
