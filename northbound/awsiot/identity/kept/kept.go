// Package kept keeps the identities that a gateway has got for itself: private
// key, certificate and what is known of them, in the folder identity of its state
// directory.
//
//	identity/20261128-3k7q9x2m/   key.pem, cert.pem, meta.json
//	identity/current              a link to the one that works
//	identity/next                 to the one on trial, if there is one
//	identity/previous             to the one before, for 30 days
//
// An identity is made beside the others, file by file, and becomes the current one
// by renaming links, after the cloud has accepted it. Each change is on disk before
// the next begins: a power cut at any line leaves the current identity, or one that
// goes on where it stopped, never half a one. A folder that no link names is a
// draft, one for each [Way]; its key is used again.
//
// All methods are safe for concurrent use, also by other processes.
package kept

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fieldbridge/setting"
)

// Way is how an identity came.
type Way string

// The ways.
const (
	Claim    Way = "claim"    // fleet provisioning, with a claim that many gateways share
	Trusted  Way = "trusted"  // fleet provisioning, with a claim that a person had made for this one
	Rotation Way = "rotation" // by the identity before it
	OwnCA    Way = "own ca"   // signed by an authority of the user's, from our request
)

// Links to identities.
const (
	Current  = "current"
	Next     = "next"
	Previous = "previous"
)

// KeepPrevious is how long the identity before the current one is kept.
const KeepPrevious = 30 * 24 * time.Hour

// Meta is what is known of an identity, beside key and certificate.
type Meta struct {
	Way  Way       `json:"way"`
	Made time.Time `json:"made"` // by the clock then, which may have been wrong
	// Token shows the cloud that the certificate is ours, until it is registered.
	Token string `json:"token,omitempty"`
	Thing string `json:"thing,omitempty"` // the cloud's name for us; "" before it is registered
	// Claim is the folder of the claim that it came by, ClaimID the id of its
	// certificate.
	Claim   string `json:"claim,omitempty"`
	ClaimID string `json:"claim_id,omitempty"`
	// Proven is when the cloud first acknowledged a message of this certificate.
	Proven time.Time `json:"proven,omitzero"`
}

// Identity is one of the store. It is a copy: changes to it change nothing.
type Identity struct {
	Name        string // of its folder
	Key         []byte // contents of the key file, see package key
	Certificate []byte // PEM, ours first; nil in a draft
	Request     []byte // PEM, for an authority of the user's; nil if it is not needed
	Meta
}

// ID returns what AWS calls the certificate's id, "" if there is none.
func (i *Identity) ID() string {
	b, _ := pem.Decode(i.Certificate)
	if b == nil {
		return ""
	}
	sum := sha256.Sum256(b.Bytes)
	return hex.EncodeToString(sum[:])
}

// Store is the identities of one gateway.
type Store struct {
	dir string
	// What the links lead to, as it was read last.
	current, next, previous setting.Remembered[Identity]
	// step is called before each change to the disk; its error is that of a cut.
	// Nil but in tests.
	step func(what string) error
}

// In returns the store in the state directory of a gateway. Nothing is made before
// the first identity.
func In(state string) *Store { return &Store{dir: filepath.Join(state, "identity")} }

// Dir returns the folder of the store.
func (s *Store) Dir() string { return s.dir }

// Get returns the identity that a link names, nil if there is none.
func (s *Store) Get(link string) (*Identity, error) {
	name, err := s.target(link)
	if name == "" || err != nil {
		return nil, err
	}
	var files []setting.Path
	for _, file := range []string{keyFile, certificateFile, requestFile, metaFile} {
		files = append(files, setting.Path(filepath.Join(s.dir, name, file)))
	}
	last := map[string]*setting.Remembered[Identity]{Current: &s.current, Next: &s.next, Previous: &s.previous}[link]
	i, err := last.Get(setting.LookAt(files...), func() (Identity, error) {
		i, err := s.read(name)
		if err != nil {
			return Identity{}, fmt.Errorf("%s identity: %w", link, err)
		}
		return *i, nil
	})
	if err != nil {
		return nil, err
	}
	return &i, nil
}

// target returns the name of the folder that a link names, "" if there is none.
func (s *Store) target(link string) (string, error) {
	name, err := os.Readlink(filepath.Join(s.dir, link))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return filepath.Base(name), err
}

// Stamp returns a text that changes when another identity is to be used: the one on
// trial, else the current one. It stays as it is when the trial is passed.
func (s *Store) Stamp() string {
	if next, _ := s.target(Next); next != "" {
		return next
	}
	current, _ := s.target(Current)
	return current
}

func (s *Store) read(name string) (*Identity, error) {
	i := &Identity{Name: name}
	dir := filepath.Join(s.dir, name)
	var err error
	if i.Key, err = os.ReadFile(filepath.Join(dir, keyFile)); err != nil {
		return nil, err
	}
	for file, to := range map[string]*[]byte{certificateFile: &i.Certificate, requestFile: &i.Request} {
		if *to, err = os.ReadFile(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	meta, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(meta, &i.Meta); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, metaFile), err)
	}
	return i, nil
}

const (
	keyFile         = "key.pem"
	certificateFile = "cert.pem"
	requestFile     = "request.pem"
	metaFile        = "meta.json"
)

// Begin makes a draft with a key, the contents of a key file. It is on disk when
// Begin returns. Another draft of that way is removed.
func (s *Store) Begin(key []byte, meta Meta) (*Identity, error) {
	i := &Identity{Name: newName(time.Now()), Key: key, Meta: meta}
	err := s.change(func() error {
		if err := s.removeDrafts(meta.Way); err != nil {
			return err
		}
		// It gets its name when all of it is there.
		half := filepath.Join(s.dir, halfMade+i.Name)
		if err := s.do("make "+half, func() error { return os.Mkdir(half, 0o700) }); err != nil {
			return err
		}
		if err := s.write(halfMade+i.Name, keyFile, key); err != nil {
			return err
		}
		if err := s.writeMeta(halfMade+i.Name, &i.Meta); err != nil {
			return err
		}
		return s.rename(halfMade+i.Name, i.Name)
	})
	return i, err
}

// halfMade begins the name of a folder that is being made.
const halfMade = ".half-"

// newName names a folder, for people by the day.
func newName(now time.Time) string {
	return now.UTC().Format("20060102-") + strings.ToLower(rand.Text()[:8])
}

// Draft returns the draft of a way, nil if there is none.
func (s *Store) Draft(way Way) (*Identity, error) {
	names, err := s.drafts()
	for _, name := range names {
		if i, err := s.read(name); err == nil && i.isDraft(way) {
			return i, nil
		}
	}
	return nil, err
}

// isDraft reports whether i, which no link names, is a draft of that way. One that
// was proven once was left by a cut.
func (i *Identity) isDraft(way Way) bool { return i.Way == way && i.Proven.IsZero() }

// SetRequest writes the certificate request of a draft.
func (s *Store) SetRequest(i *Identity, request []byte) error {
	i.Request = request
	return s.change(func() error { return s.write(i.Name, requestFile, request) })
}

// SetCertificate writes the certificate that a draft has got, and its token: meta
// first, so that no certificate is without.
func (s *Store) SetCertificate(i *Identity, certificate []byte, token string) error {
	i.Certificate, i.Token, i.Thing = certificate, token, ""
	return s.change(func() error {
		if err := s.writeMeta(i.Name, &i.Meta); err != nil {
			return err
		}
		return s.write(i.Name, certificateFile, certificate)
	})
}

// SetThing notes that the cloud has registered the identity as its thing.
func (s *Store) SetThing(i *Identity, thing string) error {
	i.Token, i.Thing = "", thing
	return s.change(func() error { return s.writeMeta(i.Name, &i.Meta) })
}

// Try makes an identity the one on trial.
func (s *Store) Try(i *Identity) error {
	return s.change(func() error { return s.link(Next, i.Name) })
}

// Prove makes the identity on trial the current one, proven now, and keeps the one
// before. It does nothing if another is on trial, or none.
func (s *Store) Prove(name string, now time.Time) error {
	return s.change(func() error {
		if next, err := s.target(Next); err != nil || next != name {
			return err
		}
		i, err := s.read(name)
		if err != nil {
			return err
		}
		i.Proven, i.Token = now.UTC(), ""
		if err := s.writeMeta(name, &i.Meta); err != nil {
			return err
		}
		current, err := s.target(Current)
		if err != nil {
			return err
		}
		before, err := s.target(Previous)
		if err != nil {
			return err
		}
		if current != "" && current != name {
			if err := s.link(Previous, current); err != nil {
				return err
			}
		}
		if err := s.link(Current, name); err != nil {
			return err
		}
		if err := s.unlink(Next); err != nil {
			return err
		}
		return s.removeUnlinked(before)
	})
}

// Back makes the identity before the current one the current one again, and keeps the
// other in its place. It does nothing if another is before it, or none.
func (s *Store) Back(name string) error {
	return s.change(func() error {
		if before, err := s.target(Previous); err != nil || before != name {
			return err
		}
		current, err := s.target(Current)
		if err != nil {
			return err
		}
		if err := s.link(Current, name); err != nil {
			return err
		}
		return s.link(Previous, current)
	})
}

// removeUnlinked removes a folder unless a link names it.
func (s *Store) removeUnlinked(name string) error {
	names, err := s.drafts()
	if slices.Contains(names, name) {
		return s.remove(name)
	}
	return err
}

// Forget ends the trial of an identity, and removes it: one of [OwnCA], which a person
// had made, becomes a draft again. It does nothing if another is on trial, or none.
func (s *Store) Forget(name string) error {
	return s.change(func() error {
		if next, err := s.target(Next); err != nil || next != name {
			return err
		}
		if err := s.unlink(Next); err != nil {
			return err
		}
		if i, err := s.read(name); err == nil && i.isDraft(OwnCA) {
			return nil
		}
		return s.removeUnlinked(name)
	})
}

// Discard removes a draft.
func (s *Store) Discard(i *Identity) error {
	return s.change(func() error { return s.removeUnlinked(i.Name) })
}

// Sweep removes what a cut has left, and the identity before the current one after
// its 30 days; now is zero where the clock is not known to be right.
func (s *Store) Sweep(now time.Time) error {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.change(func() error {
		current, err := s.Get(Current)
		if err != nil {
			return err
		}
		if next, err := s.target(Next); err == nil && current != nil && next == current.Name {
			if err := s.unlink(Next); err != nil {
				return err
			}
		}
		if current != nil && !current.Proven.IsZero() && !now.IsZero() && now.Sub(current.Proven) > KeepPrevious {
			if err := s.forgetPrevious(); err != nil {
				return err
			}
		}
		return s.removeLeftovers()
	})
}

// removeLeftovers removes what is half made, and what was proven once and has lost
// its name since.
func (s *Store) removeLeftovers() error {
	names, err := s.drafts()
	for _, name := range names {
		if i, failed := s.read(name); failed == nil && !i.Proven.IsZero() {
			err = errors.Join(err, s.remove(name))
		}
	}
	all, failed := os.ReadDir(s.dir)
	for _, e := range all {
		if strings.HasPrefix(e.Name(), halfMade) {
			err = errors.Join(err, s.remove(e.Name()))
		}
	}
	return errors.Join(err, failed)
}

func (s *Store) forgetPrevious() error {
	name, err := s.target(Previous)
	if name == "" || err != nil {
		return err
	}
	if err := s.unlink(Previous); err != nil {
		return err
	}
	return s.removeUnlinked(name)
}
