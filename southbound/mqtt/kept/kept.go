// Package kept writes the retained messages of a broker as one small value that
// survives a restart, and reads them back. It knows no broker and no disk.
package kept

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"fieldbridge/order"
)

// Message is a retained message.
type Message struct {
	Topic   string `json:"t"`
	Payload []byte `json:"p"`
	QoS     byte   `json:"q,omitempty"`
	Owner   string `json:"o,omitempty"` // the session that it is of
	Expires int64  `json:"e,omitempty"` // seconds since 1970; 0 is never
}

const (
	// most is how large the value may be, in bytes.
	most = 60 << 10
	// mostInflated is how large what is in it may be.
	mostInflated = 16 << 20
	// aDay is how many bytes may be written each day, the least that a write takes
	// included.
	aDay     = 1 << 20
	perWrite = 16 << 10
)

// Pack returns a value with the messages, and how many of them it has no room for:
// the longest. The same messages in any order give the same value.
func Pack(all []Message) (value []byte, left int, err error) {
	all = slices.Clone(all)
	order.By(all, func(a, b Message) int {
		return cmp.Or(cmp.Compare(len(a.Payload), len(b.Payload)), strings.Compare(a.Topic, b.Topic))
	})
	size := 0
	for i, m := range all { // what cannot be read back is not written
		if size += 2*(len(m.Topic)+len(m.Payload)+len(m.Owner)) + 64; size > mostInflated {
			left = len(all) - i
			all = all[:i]
			break
		}
	}
	if value, err = pack(all); err != nil || len(value) <= most {
		return value, left, err
	}
	n := sort.Search(len(all), func(n int) bool {
		v, e := pack(all[:n+1])
		return e != nil || len(v) > most
	})
	value, err = pack(all[:n])
	return value, left + len(all) - n, err
}

func pack(all []Message) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	err := json.NewEncoder(z).Encode(all)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("pack retained messages: %w", err)
	}
	return b.Bytes(), nil
}

// Unpack returns the messages of a value that have not ended by now.
func Unpack(value []byte, now time.Time) ([]Message, error) {
	if len(value) == 0 {
		return nil, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, fmt.Errorf("unpack retained messages: %w", err)
	}
	var all []Message
	if err := json.NewDecoder(io.LimitReader(z, mostInflated)).Decode(&all); err != nil {
		return nil, fmt.Errorf("unpack retained messages: %w", err)
	}
	return slices.DeleteFunc(all, func(m Message) bool { return m.Expires > 0 && m.Expires < now.Unix() }), nil
}

// Apart returns how long after a value of so many bytes the next may be written, so
// that a day's are a megabyte.
func Apart(bytes int) time.Duration {
	return time.Duration(int64(24*time.Hour) / aDay * int64(bytes+perWrite))
}
