package life

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// Options is what a [Life] needs.
type Options struct {
	State   string            // the gateway's state directory; "" keeps no identity
	Gateway string            // its name, and its thing's
	Labels  map[string]string // of the gateway
	Log     *slog.Logger      // required
	// Synced reports whether the wall clock is known to be right; nil is that it is.
	Synced func() bool
	// Hold says why no identity is to be renewed now, a sentence without a period; ""
	// allows it. Nil always does.
	Hold func() string
}

// Life is the identity of a gateway. All methods are safe for concurrent use.
type Life struct {
	o     Options
	store *kept.Store
	from  origin

	files  files
	opened opened

	changed chan struct{} // one value: another identity is to be used
	nudge   chan struct{} // one value: somebody wants the identity renewed

	mu       sync.Mutex
	trial    refusals     // guarded by mu; of the identity on trial
	base     refusals     // guarded by mu; of the current one, or the files
	ask      asking       // guarded by mu; for a first identity
	serving  bool         // guarded by mu; a connection is up that may renew
	renewing bool         // guarded by mu; a new identity is made or on trial
	waiters  []chan error // guarded by mu; who wants to know how that ends
	failed   *Failure     // guarded by mu; why the last one was not taken
	left     leftClaim    // guarded by mu
}

// refusals are failures in a row that were about a certificate.
type refusals struct {
	count int
	first time.Time
	last  uplink.Verdict
}

// Failure is why an identity was given up.
type Failure struct {
	Why string
	At  time.Time
}

// After so many refusals an identity may be given up, and after so long one that
// nothing can take the place of, or whose refusal may pass: a policy takes minutes.
const (
	mostRefusals = 3
	patience     = 5 * time.Minute
	beyondHope   = 10 * time.Minute
)

// New returns the identity in a state directory. It asks nobody and makes nothing.
func New(o Options) *Life {
	l := &Life{o: o, changed: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		from: origin{gateway: o.Gateway, labels: o.Labels, nets: net.Interfaces, chip: key.Endorsement}}
	if o.State == "" {
		return l
	}
	l.store = kept.In(o.State)
	return l
}

// Tidy removes what a cut has left in the store, and what is kept no longer. It is the
// gateway's to do: a command that looks changes nothing.
func (l *Life) Tidy() {
	if l.store == nil {
		return
	}
	var now time.Time // unknown
	if l.synced() {
		now = time.Now()
	}
	if err := l.store.Sweep(now); err != nil {
		l.o.Log.Warn("the folder of identities cannot be tidied", "folder", l.store.Dir(), "err", err)
	}
}

// Readable reports whether what the store holds may be read by this user: that there is
// no identity is known then.
func (l *Life) Readable() bool {
	if l.store == nil {
		return true
	}
	_, err := l.store.Get(kept.Current)
	return err == nil
}

func (l *Life) synced() bool { return l.o.Synced == nil || l.o.Synced() }

// Kind is what an identity is chosen as.
type Kind string

// The kinds.
const (
	OnTrial Kind = "on trial" // not yet acknowledged by the cloud
	Managed Kind = "managed"  // the current one of the store
	Files   Kind = "files"    // certificate and private_key
	ByClaim Kind = "claim"    // none yet: one is to be asked for by a claim
	None    Kind = "none"     // none, and no way to one: the pair says why
)

// Choice is the identity that a connection is to use.
type Choice struct {
	Kind Kind
	Pair uplink.Pair
	is   *kept.Identity // on trial or managed
	by   *Found         // the claim
	way  kept.Way       // what it makes
	dir  string         // where a claim may be put; "" is nowhere
}

// Choose returns the identity for the next connection.
func (l *Life) Choose(cfg *uplink.Config, s *Settings) Choice {
	if next := l.get(kept.Next); next != nil && next.Certificate != nil {
		return Choice{Kind: OnTrial, Pair: l.pairOf(next), is: next}
	}
	now := l.choosePresent(cfg, s)
	if present(now, cfg) && !l.hopeless() || s.Provision.Claim == "" || l.store == nil {
		return now
	}
	by, err := Claim(string(s.Provision.Claim))
	switch {
	case err == nil:
		return Choice{Kind: ByClaim, Pair: by.pair, by: by, way: kept.Claim}
	case now.Kind == None:
		now.Pair = func() (tls.Certificate, error) { return tls.Certificate{}, err }
	}
	return now
}

// choosePresent returns the current identity, else the files, else none.
func (l *Life) choosePresent(cfg *uplink.Config, s *Settings) Choice {
	if current := l.get(kept.Current); current != nil {
		if before := l.get(kept.Previous); before != nil && l.turnOfPrevious() {
			current = before
		}
		return Choice{Kind: Managed, Pair: l.pairOf(current), is: current, dir: string(s.Provision.Claim)}
	}
	if cfg.Certificate != "" {
		return Choice{Kind: Files, Pair: l.pairOfFiles(cfg)}
	}
	return Choice{Kind: None, Pair: func() (tls.Certificate, error) { return tls.Certificate{}, &missing{s} }}
}

// previousEach is how often the identity before the current one is tried when the cloud
// refuses the current one: it may be the one that is left.
const previousEach = 10

func (l *Life) turnOfPrevious() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base.count > 0 && l.base.count%previousEach == 0
}

// present reports whether an identity is there at all: files that do not exist are
// none, files that are wrong are a person's mistake.
func present(c Choice, cfg *uplink.Config) bool {
	switch c.Kind {
	case None:
		return false
	case Files:
		for _, path := range []setting.Path{cfg.Certificate, cfg.PrivateKey} {
			if _, err := path.Stat(); errors.Is(err, fs.ErrNotExist) {
				return false
			}
		}
	}
	return true
}

// get returns an identity of the store, nil if there is none that can be read.
func (l *Life) get(link string) *kept.Identity {
	if l.store == nil {
		return nil
	}
	i, err := l.store.Get(link)
	if err != nil {
		l.o.Log.Debug("an identity cannot be read", "err", err)
		return nil
	}
	return i
}

// hopeless reports whether the cloud takes the present identity no more.
func (l *Life) hopeless() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.base
	return b.count >= mostRefusals &&
		(b.last == uplink.Over || b.last == uplink.Unusable || time.Since(b.first) >= beyondHope)
}

// pairOf returns certificate and key of an identity of the store.
func (l *Life) pairOf(i *kept.Identity) uplink.Pair {
	return func() (tls.Certificate, error) {
		pair, err := l.opened.pairOf(i.Certificate, i.Key)
		if err != nil {
			if key.InChip(i.Key) {
				return tls.Certificate{}, &chipError{"identity " + i.Name, err}
			}
			return tls.Certificate{}, &unusable{i.Name, err}
		}
		return pair, nil
	}
}

// pairOfFiles is the files' own way for keys in files, whose errors it tells apart,
// and ours for those that live elsewhere.
func (l *Life) pairOfFiles(cfg *uplink.Config) uplink.Pair {
	return func() (tls.Certificate, error) {
		contents, err := l.files.readKey(cfg)
		if err != nil || !key.InChip(contents) {
			return l.files.readPair(cfg)
		}
		certificate, err := l.files.readCertificate(cfg)
		if err != nil {
			return l.files.readPair(cfg)
		}
		pair, err := l.opened.pairOf(certificate, contents)
		if err != nil {
			return pair, &chipError{"private_key " + cfg.PrivateKey.String(), err}
		}
		return pair, nil
	}
}

// Pair returns the certificates of a PEM text, the first of which must belong to the
// key of a key file, with that key.
func Pair(ctx context.Context, certificate, contents []byte) (tls.Certificate, error) {
	k, err := key.Open(ctx, contents)
	if err != nil {
		return tls.Certificate{}, err
	}
	return pairWith(k, certificate)
}

func pairWith(k *key.Key, certificate []byte) (tls.Certificate, error) {
	leaf, err := enrol.Leaf(certificate)
	switch {
	case err != nil:
		return tls.Certificate{}, err
	case !enrol.Belongs(leaf, k.Public()):
		return tls.Certificate{}, errMismatch
	}
	pair := tls.Certificate{PrivateKey: k.Signer, Leaf: leaf}
	for b, rest := pem.Decode(certificate); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			pair.Certificate = append(pair.Certificate, b.Bytes)
		}
	}
	return pair, nil
}

// Stamp returns a text that changes when another identity is to be used.
func (l *Life) Stamp(cfg *uplink.Config) string {
	stamp := cfg.Files().Stamp()
	if l.store != nil {
		stamp += l.store.Stamp()
	}
	return stamp
}

// Changed has a value when another identity is to be used than the connection's.
func (l *Life) Changed() <-chan struct{} { return l.changed }

func (l *Life) tellChanged() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Newer reports whether there is an identity to try that a connection with c does not
// have, because another program installed it.
func (l *Life) Newer(c Choice) bool {
	next := l.get(kept.Next)
	if next == nil || next.Certificate == nil || c.is != nil && c.is.Name == next.Name {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.renewing
}

// Failed notes that an attempt to connect with c, whose certificate is own, has failed
// with err. It returns what is to be told of it.
func (l *Life) Failed(c Choice, own *x509.Certificate, err error) error {
	v := uplink.OnCertificate(err)
	switch {
	case errors.Is(err, key.ErrLost):
		v = uplink.Unusable // it shows when the chip is to sign
	case v == uplink.NoVerdict, v == uplink.Unusable && !lasting(err):
		return err
	}
	times := l.refuse(c, v, uplink.Explain(err).Text)
	return refused(c, own, v, times, err)
}

// refused returns what is to be told of a failure that is the cloud's verdict v, so many
// times in a row.
func refused(c Choice, own *x509.Certificate, v uplink.Verdict, times int, err error) error {
	switch {
	case v != uplink.Closed || times < mostRefusals || own == nil:
	case c.Kind == Managed && !c.is.Proven.IsZero():
		return &ended{c, times, err}
	case !ofAWS(own):
		return &inactive{own, times, err}
	}
	return err
}

// lasting reports whether certificate or key will be of no use tomorrow, either: a chip
// may be busy or away for hours.
func lasting(err error) bool {
	return slices.ContainsFunc([]error{key.ErrNoKey, key.ErrEncrypted, errMismatch, enrol.ErrNoCertificate,
		fs.ErrNotExist, setting.ErrNoCertificate, setting.ErrNoKey, setting.ErrEncryptedKey, setting.ErrBadKey,
		setting.ErrKeyMismatch}, func(known error) bool { return errors.Is(err, known) })
}

var errMismatch = errors.New("the private key does not belong to the certificate")

// Unproven notes that the cloud took the certificate of c, which is on trial, and no
// message with it. The connection is made again, with it or with the one before.
func (l *Life) Unproven(c Choice, why string) {
	l.refuse(c, uplink.Closed, why)
	l.tellChanged()
}

// refuse notes a refusal and returns how many there were in a row.
func (l *Life) refuse(c Choice, v uplink.Verdict, why string) int {
	switch {
	case c.Kind == OnTrial:
		times, over := l.givesUp(c.is, v)
		if over {
			l.forget(c.is, why)
		}
		return times
	case v == uplink.Forbidden:
		return 0 // it is known and active: another would fare no better
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base.note(v)
	return l.base.count
}

func (r *refusals) note(v uplink.Verdict) {
	if r.count == 0 {
		r.first = time.Now()
	}
	r.count++
	r.last = v
}

// givesUp notes that the cloud refused an identity on trial, and reports whether that
// was once too often. What a person installed waits for the cloud as long as there is
// nothing else.
func (l *Life) givesUp(i *kept.Identity, v uplink.Verdict) (times int, over bool) {
	other := l.get(kept.Current) != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trial.note(v)
	times = l.trial.count
	waited := time.Since(l.trial.first)
	switch {
	case times < mostRefusals:
		return times, false
	case i.Way == kept.OwnCA:
		return times, other && waited >= time.Minute // its first connections are refused where the cloud registers it
	case other || i.Thing == "" || v == uplink.Over || v == uplink.Unusable:
		return times, true
	}
	return times, waited >= patience
}

// forget goes back to the identity before the one on trial.
func (l *Life) forget(i *kept.Identity, why string) {
	err := l.store.Forget(i.Name)
	l.o.Log.Warn("the new identity is given up", "certificate", i.ID(), "why", why, "err", err)
	l.finish(fmt.Errorf("the cloud does not take the new certificate, the one before is used again: %s", why))
}

// Proven notes that the cloud has acknowledged a message on a connection with c on
// which the certificate sent was shown.
func (l *Life) Proven(c Choice, sent *x509.Certificate) {
	l.mu.Lock()
	refused := l.base.count
	l.base = refusals{}
	l.mu.Unlock()
	if c.is == nil {
		return
	}
	if id := uplink.CertificateID(sent); id != c.is.ID() {
		l.refuse(c, uplink.Closed, "the connection was made with another certificate, "+id)
		return
	}
	if c.Kind == OnTrial {
		if err := l.store.Prove(c.is.Name, time.Now()); err != nil {
			l.o.Log.Error("the new identity works and cannot be made the current one", "err", err)
			return // it stays on trial
		}
		l.o.Log.Info("the gateway has a new identity", "came by", c.is.Way, "certificate", c.is.ID())
		l.finish(nil)
	} else if refused >= previousEach {
		l.goBack(c.is)
	}
	l.removeClaim(c.is)
}

// goBack makes i the current identity again if it is the one before: the cloud has just
// taken it, and the current one many times not. So it is renewed in time and outlives the
// days that the one before is kept, and a person hears of it.
func (l *Life) goBack(i *kept.Identity) {
	if before := l.get(kept.Previous); before == nil || before.Name != i.Name {
		return
	}
	err := l.store.Back(i.Name)
	l.o.Log.Warn("the cloud takes the newer identity no more, the one before is the current one again",
		"certificate", i.ID(), "err", err)
	l.finish(errors.New("the cloud takes the newer certificate no more, the one before is used again"))
}

// removeClaim removes the claim that an identity came by. Another that a person put in
// its place later stays.
func (l *Life) removeClaim(i *kept.Identity) {
	by := claimOf(i)
	if by == nil {
		return
	}
	if err := by.remove(); err != nil {
		l.leave(i, err)
		return
	}
	l.o.Log.Info("the claim is no longer needed and was removed", "folder", i.Claim)
}

// finish tells how a trial ended.
func (l *Life) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trial, l.renewing, l.failed = refusals{}, false, nil
	if err != nil {
		l.failed = &Failure{err.Error(), time.Now()}
	}
	for _, w := range l.waiters {
		w <- err // it has room
	}
	l.waiters = nil
}
