package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"

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
// so it takes little: packing statelessly, piece by piece.
func pack(l *configs.Loaded) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.StatelessCompression) // a level that there is
	_ = l.WriteSnapshot(w)                                     // a bytes.Buffer takes all
	_ = w.Close()
	return bytes.Clone(b.Bytes())
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
