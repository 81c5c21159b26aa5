package signed

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fieldbridge/minisign"
)

// State keeps the serials; Put returns when they are on disk.
type State interface {
	Get(key string) ([]byte, error)
	Put(key string, value []byte) error
}

// stateKey is where the serials are kept.
const stateKey = "signed.serials"

// Errors that a caller may tell apart. All others are of orders that are never right.
var (
	// ErrNoKeys is that the gateway trusts nobody.
	ErrNoKeys = errors.New("this gateway takes no signed orders: updates.keys and updates.roots are empty")
	// ErrEarly is that an order will be right later.
	ErrEarly = errors.New("the order is not yet in force")
	// ErrState is that the serials cannot be read or written.
	ErrState = errors.New("the serials of orders")
)

// Trust is whose orders are taken.
type Trust struct {
	Keys      []minisign.PublicKey // sign orders
	Roots     []minisign.PublicKey // sign lists of keys that sign orders
	Threshold int                  // how many different keys must have signed, of either kind; 0 is 1
}

// Options is what a [Guard] needs.
type Options struct {
	Gateway string // its name
	// Groups returns those that it is of now; nil is that it is of none.
	Groups func() []string
	// Trust returns whose orders are taken now.
	Trust  func() Trust
	State  State
	Synced func() bool // whether the wall clock is known to be right; nil is that it is not
}

// Guard opens envelopes. It is safe for concurrent use.
type Guard struct {
	o  Options
	mu sync.Mutex // held over the disk: one order at a time is judged
}

// New returns the guard of a gateway.
func New(o Options) *Guard { return &Guard{o: o} }

// seen is what a gateway remembers of a key, or of the lists of its roots.
type seen struct {
	Serial uint64 `json:"serial"`
	Sum    string `json:"sum"` // of the payload
	Job    string `json:"job,omitempty"`
}

// record is what is on disk.
type record struct {
	Lists seen            `json:"lists,omitzero"`
	Keys  map[string]seen `json:"keys,omitempty"` // by the key
}

// Open returns the order that a document holds, or why it is refused. Its serial is
// on disk when Open returns. job names the job that brought it: the same order by the
// same job is opened again, as after a restart; by another job it is a replay.
func (g *Guard) Open(job string, document []byte) (*Order, error) {
	trust := g.o.Trust()
	if len(trust.Keys)+len(trust.Roots) == 0 {
		return nil, ErrNoKeys
	}
	e, err := parse(document)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	kept, err := g.load()
	if err != nil {
		return nil, err
	}
	keys := slices.Clone(trust.Keys)
	if e.Keys != nil && len(trust.Roots) > 0 {
		listed, err := g.open(e.Keys, trust, &kept)
		if err != nil {
			return nil, err
		}
		keys = append(keys, listed...)
	}
	signers, err := e.signers(keys, trust.Threshold)
	if err != nil {
		return nil, fmt.Errorf("the order: %w", err)
	}
	var o Order
	if err := strict(e.Payload, &o); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if !g.meant(o.Targets) {
		return nil, fmt.Errorf("the order is for others, not for %s", g.o.Gateway)
	}
	if err := g.inForce("order", o.NotBefore, o.Expires); err != nil {
		return nil, err
	}
	now := seen{o.Serial, sum(e.Payload), job}
	for _, k := range signers {
		if was := kept.Keys[name(k)]; was.Serial > now.Serial || was.Serial == now.Serial && was != now {
			return nil, fmt.Errorf("the order was replayed: its serial is %d, and %d of key %s was taken before",
				now.Serial, was.Serial, k.ID())
		}
	}
	for _, k := range signers {
		kept.Keys[name(k)] = now
	}
	kept.forget(append(keys, trust.Roots...))
	return &o, g.save(kept)
}

// open returns the keys that a list of the roots names.
func (g *Guard) open(e *Envelope, trust Trust, kept *record) ([]minisign.PublicKey, error) {
	if _, err := e.signers(trust.Roots, trust.Threshold); err != nil {
		return nil, fmt.Errorf("the list of keys: %w", err)
	}
	var l List
	if err := strict(e.Payload, &l); err != nil {
		return nil, err
	}
	keys, err := l.check()
	if err != nil {
		return nil, err
	}
	if err := g.inForce("list of keys", l.NotBefore, l.Expires); err != nil {
		return nil, err
	}
	now, was := seen{Serial: l.Serial, Sum: sum(e.Payload)}, kept.Lists
	if was.Serial > now.Serial || was.Serial == now.Serial && was != now {
		return nil, fmt.Errorf("the list of keys is old: its serial is %d, and %d was taken before", now.Serial, was.Serial)
	}
	kept.Lists = now
	return keys, nil
}

// signers returns which of the keys have signed e, if they are enough. What another
// key has signed does not count, and is no reason to refuse.
func (e *Envelope) signers(keys []minisign.PublicKey, threshold int) (found []minisign.PublicKey, err error) {
	for _, s := range e.Signatures {
		for _, k := range keys {
			twice := slices.ContainsFunc(found, func(f minisign.PublicKey) bool { return name(f) == name(k) })
			if k.ID() == s.Key && !twice && ed25519.Verify(k.Ed25519(), e.Payload, s.Sig) {
				found = append(found, k)
			}
		}
	}
	if need := max(threshold, 1); len(found) < need {
		return nil, fmt.Errorf("%d of its %d signatures are of keys that this gateway trusts, and %d must be",
			len(found), len(e.Signatures), need)
	}
	return found, nil
}

func (g *Guard) meant(t Targets) bool {
	if t.All || slices.Contains(t.Gateways, g.o.Gateway) {
		return true
	}
	if g.o.Groups == nil || len(t.Groups) == 0 {
		return false
	}
	own := g.o.Groups()
	return slices.ContainsFunc(t.Groups, func(n string) bool { return slices.Contains(own, n) })
}

// inForce judges a term. A clock that may be wrong would refuse what is right, for
// ever: then the serial alone counts.
func (g *Guard) inForce(what string, from, to time.Time) error {
	if g.o.Synced == nil || !g.o.Synced() {
		return nil
	}
	switch now := time.Now(); {
	case now.Before(from):
		return fmt.Errorf("%w: the %s begins at %s", ErrEarly, what, from.UTC().Format(time.RFC3339))
	case !now.Before(to):
		return fmt.Errorf("the %s has expired at %s", what, to.UTC().Format(time.RFC3339))
	}
	return nil
}

// name is what a key is remembered by: itself, as anybody may give it another number.
func name(k minisign.PublicKey) string { return hex.EncodeToString(k.Ed25519()) }

func sum(payload []byte) string {
	s := sha256.Sum256(payload)
	return hex.EncodeToString(s[:])
}

// load reads the serials. A record that cannot be read would let everything be
// replayed: nothing is opened then.
func (g *Guard) load() (r record, err error) {
	data, err := g.o.State.Get(stateKey)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%w cannot be read: %w", ErrState, err)
	}
	if r.Keys == nil {
		r.Keys = map[string]seen{}
	}
	return r, nil
}

func (g *Guard) save(r record) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = g.o.State.Put(stateKey, data)
	}
	if err != nil {
		return fmt.Errorf("%w are not on disk: %w", ErrState, err)
	}
	return nil
}

// mostForeign is how many keys are remembered that are not trusted now. One that is
// trusted again later still knows its serial.
const mostForeign = 64

// forget drops the oldest keys that are not trusted any more, if there are many.
func (r *record) forget(trusted []minisign.PublicKey) {
	var foreign []string
	for key := range r.Keys {
		if !slices.ContainsFunc(trusted, func(k minisign.PublicKey) bool { return name(k) == key }) {
			foreign = append(foreign, key)
		}
	}
	slices.SortFunc(foreign, func(a, b string) int { return cmp.Compare(r.Keys[a].Serial, r.Keys[b].Serial) })
	for _, key := range foreign[:max(0, len(foreign)-mostForeign)] {
		delete(r.Keys, key)
	}
}
