package signed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"fieldbridge/minisign"
)

// Bounds of what is read. AWS takes documents of jobs of 32 KiB.
const (
	MaxDocument   = 64 << 10 // bytes
	maxSignatures = 8
	maxKeys       = 16
	maxTargets    = 1000 // names in one order
	maxName       = 128  // bytes
	// MaxSerial is the largest serial: what every reader of JSON can hold.
	MaxSerial = 1<<53 - 1
)

// Order is what is signed. Serials grow with each order of a key; microseconds of the
// epoch will do.
type Order struct {
	Operation string          `json:"operation"`
	Targets   Targets         `json:"targets"`
	Serial    uint64          `json:"serial"`
	NotBefore time.Time       `json:"not_before"`
	Expires   time.Time       `json:"expires"`
	What      json.RawMessage `json:"what,omitempty"`
}

// Targets are who an order is meant for: each gateway of which one of them is true.
type Targets struct {
	Gateways []string `json:"gateways,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	All      bool     `json:"all,omitempty"`
}

// List is the signing keys that root keys have signed, as minisign writes them in one
// line. An empty list takes all of them back.
type List struct {
	Keys      []string  `json:"keys"`
	Serial    uint64    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	Expires   time.Time `json:"expires"`
}

// Envelope is a payload and who signed it.
type Envelope struct {
	Fieldbridge int         `json:"fieldbridge"` // 1
	Payload     []byte      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
	Keys        *Envelope   `json:"keys,omitempty"` // of a [List]
}

// Signature is one over a payload. Key is the key's number, to find it by: it proves
// nothing.
type Signature struct {
	Key string `json:"key"`
	Sig []byte `json:"sig"`
}

// Seal signs an order. keys is the envelope of the list that names the signing keys,
// or nil.
func Seal(o Order, keys *Envelope, by ...minisign.SecretKey) (*Envelope, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	e, err := seal(o, by)
	if err == nil {
		e.Keys = keys
	}
	return e, err
}

// SealList signs a list of signing keys, with root keys.
func SealList(l List, by ...minisign.SecretKey) (*Envelope, error) {
	if _, err := l.check(); err != nil {
		return nil, err
	}
	return seal(l, by)
}

func seal(v any, by []minisign.SecretKey) (*Envelope, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	e := &Envelope{Fieldbridge: 1, Payload: payload}
	e.Sign(by...)
	return e, nil
}

// Sign adds signatures over the same payload, as by a second person. The same again
// changes nothing.
func (e *Envelope) Sign(by ...minisign.SecretKey) {
	for _, k := range by {
		sig := k.SignRaw(e.Payload) // Ed25519 makes always the same
		if !slices.ContainsFunc(e.Signatures, func(s Signature) bool { return bytes.Equal(s.Sig, sig) }) {
			e.Signatures = append(e.Signatures, Signature{k.Public().ID(), sig})
		}
	}
}

// parse reads an envelope; names that it does not know are left alone.
func parse(document []byte) (*Envelope, error) {
	if len(document) > MaxDocument {
		return nil, fmt.Errorf("the order has %d bytes: %d are allowed", len(document), MaxDocument)
	}
	var e Envelope
	if err := json.Unmarshal(document, &e); err != nil || e.Fieldbridge == 0 && e.Payload == nil {
		return nil, errors.New("the order is not signed: it has no envelope of Fieldbridge")
	}
	for at := &e; at != nil; at = at.Keys {
		switch {
		case at.Fieldbridge != 1:
			return nil, fmt.Errorf("the order's envelope is of kind %d: this version knows 1", at.Fieldbridge)
		case len(at.Signatures) > maxSignatures:
			return nil, fmt.Errorf("the order has %d signatures: %d are allowed", len(at.Signatures), maxSignatures)
		case at != &e && at.Keys != nil:
			return nil, errors.New("a list of keys has no list of keys in it")
		}
	}
	return &e, nil
}

// strict reads signed JSON. What is signed and not known may matter: it is refused.
func strict(payload []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("what is signed cannot be read: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("what is signed cannot be read: something follows it")
	}
	return nil
}

func (o *Order) check() error {
	names := slices.Concat(o.Targets.Gateways, o.Targets.Groups)
	switch {
	case o.Operation == "":
		return errors.New("the order names no operation")
	case len(names) > maxTargets:
		return fmt.Errorf("the order has %d targets: %d are allowed", len(names), maxTargets)
	case slices.ContainsFunc(names, func(n string) bool { return n == "" || len(n) > maxName }):
		return fmt.Errorf("a target has 1 to %d bytes", maxName)
	case len(names) == 0 && !o.Targets.All:
		return errors.New("the order has no targets")
	}
	return checkTerm("order", o.Serial, o.NotBefore, o.Expires)
}

func (l *List) check() (keys []minisign.PublicKey, err error) {
	if len(l.Keys) > maxKeys {
		return nil, fmt.Errorf("the list has %d keys: %d are allowed", len(l.Keys), maxKeys)
	}
	if keys, err = ParseKeys(l.Keys); err != nil {
		return nil, err
	}
	return keys, checkTerm("list of keys", l.Serial, l.NotBefore, l.Expires)
}

func checkTerm(what string, serial uint64, from, to time.Time) error {
	switch {
	case serial == 0 || serial > MaxSerial:
		return fmt.Errorf("the %s needs a serial of 1 to %d", what, uint64(MaxSerial))
	case from.IsZero() || to.IsZero():
		return fmt.Errorf("the %s needs not_before and expires", what)
	case !from.Before(to):
		return fmt.Errorf("the %s expires before it begins", what)
	}
	return nil
}

// ParseKeys reads public keys of minisign.
func ParseKeys(texts []string) (keys []minisign.PublicKey, err error) {
	for i, text := range texts {
		k, err := minisign.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}
