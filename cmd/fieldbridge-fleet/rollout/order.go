package rollout

import (
	"encoding/json"
	"fmt"
	"time"

	"fieldbridge/minisign"
	"fieldbridge/setting"
	"fieldbridge/signed"
)

// Prefix begins the names of all jobs that are made here.
const Prefix = "fieldbridge-"

// maxDocument is how many bytes a job's document may have (quotas of AWS IoT Device
// Management, jobs).
const maxDocument = 32 << 10

// File is where gateways have a file from: it stands beside what is signed, since AWS
// fills in the URL. What is signed has its size and its SHA-256.
type File struct {
	Stream string `json:"stream,omitempty"` // its file 0
	URL    string `json:"url,omitempty"`
}

// Content is what an order says of a file.
type Content struct {
	SHA256 string `json:"sha256"` // in hexadecimal digits
	Size   int64  `json:"size"`   // bytes
}

// Config is what an order says of a configuration. Confirm is how long it is on trial;
// 0 leaves that to the gateway.
type Config struct {
	Content
	Confirm setting.Duration `json:"confirm,omitempty"`
}

// Update is what an order says of a release of the program. Trial is how long it has
// to prove itself; 0 leaves that to the gateway.
type Update struct {
	Manifest  []byte           `json:"manifest"`  // release.json, as root keys have signed it
	Signature []byte           `json:"signature"` // release.json.minisig
	Trial     setting.Duration `json:"trial,omitempty"`
	// Apart is how long after another trial a gateway takes this one; 0 is at any time.
	Apart setting.Duration `json:"apart,omitempty"`
}

// Signer signs orders. It is not safe for concurrent use.
type Signer struct {
	Keys []minisign.SecretKey
	List *signed.Envelope // of the signing keys, by the roots; may be nil
	For  time.Duration    // how long an order can be begun

	last uint64 // serial
}

// early is how long before now an order is in force: clocks differ.
const early = 10 * time.Minute

// Order signs an order; what may be nil. Its serial is the time in microseconds, or
// one more than that of the order before: one that is signed later is newer, by
// whatever machine.
func (s *Signer) Order(operation string, to signed.Targets, what any, now time.Time) (*signed.Envelope, error) {
	s.last = max(s.last+1, uint64(now.UnixMicro()))
	o := signed.Order{Operation: operation, Targets: to, Serial: s.last,
		NotBefore: now.Add(-early).UTC().Truncate(time.Second), Expires: now.Add(s.For).UTC().Truncate(time.Second)}
	if what != nil {
		data, err := json.Marshal(what)
		if err != nil {
			return nil, err
		}
		o.What = data
	}
	return signed.Seal(o, s.List, s.Keys...)
}

// Document returns the document of a job, with where gateways have the file of the
// order from; file may be nil.
func Document(e *signed.Envelope, file *File) (string, error) {
	text, err := json.Marshal(struct {
		*signed.Envelope
		File *File `json:"file,omitempty"`
	}{e, file})
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("the job's document has %d bytes, AWS takes %d: name groups instead of gateways",
			len(text), maxDocument)
	}
	return string(text), err
}
