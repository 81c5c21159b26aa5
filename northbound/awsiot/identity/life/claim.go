package life

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/uplink"
)

// Found is the claim in a folder.
type Found struct {
	Pair  tls.Certificate
	ID    string   // of its certificate
	Files []string // of certificate and key
}

// What a folder of a claim may have.
const (
	mostClaimFiles = 50
	mostClaimFile  = 64 << 10
)

// noClaim is why there is no claim in a folder.
type noClaim struct {
	dir, why string
}

func (e *noClaim) Error() string { return fmt.Sprintf("claim %s: %s", e.dir, e.why) }

// Explain implements [uplink.Explained].
func (e *noClaim) Explain() uplink.Explanation {
	return uplink.Act("there is no claim in %s: %s: put the certificate and the key of the claim there, as AWS gave them",
		e.dir, e.why)
}

// Claim finds certificate and key in a folder by what the files hold: AWS names them
// by the certificate's id, and puts roots and a public key beside them.
func Claim(dir string) (*Found, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &noClaim{dir, "the folder does not exist"}
	case errors.Is(err, fs.ErrPermission):
		return nil, &noClaim{dir, "the folder may not be read by this user"}
	case err != nil:
		return nil, &noClaim{dir, err.Error()}
	case len(entries) > mostClaimFiles:
		return nil, &noClaim{dir, "there are too many files in it"}
	}
	contents := make(map[string][]byte)
	var certificates, keys []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > mostClaimFile {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, &noClaim{dir, fmt.Sprintf("%s may not be read by this user", e.Name())}
		}
		contents[path] = data
		for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
			switch b.Type {
			case "CERTIFICATE":
				certificates = append(certificates, path)
			case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
				keys = append(keys, path)
			}
		}
	}
	for _, k := range keys {
		for _, c := range certificates {
			if pair, err := tls.X509KeyPair(contents[c], contents[k]); err == nil {
				sum := sha256.Sum256(pair.Certificate[0])
				return &Found{pair, hex.EncodeToString(sum[:]), []string{k, c}}, nil
			}
		}
	}
	switch {
	case len(certificates) == 0:
		return nil, &noClaim{dir, "it has no certificate"}
	case len(keys) == 0:
		return nil, &noClaim{dir, "it has no private key"}
	}
	return nil, &noClaim{dir, "no key in it belongs to a certificate in it"}
}

func (f *Found) pair() (tls.Certificate, error) { return f.Pair, nil }

// remove removes the files of the claim, the key first. On flash what was in them may
// still be found: only the cloud can make a claim worthless.
func (f *Found) remove() error {
	var failed error
	for _, path := range f.Files {
		err := os.Remove(path)
		if err == nil || failed != nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		failed = err
		if why := (*fs.PathError)(nil); errors.As(err, &why) { // one sentence for both files
			failed = fmt.Errorf("%s: %w", path, why.Err)
		}
	}
	return failed
}

// claimOf returns the claim that an identity came by, nil if it is not there any more.
func claimOf(i *kept.Identity) *Found {
	if i.ClaimID == "" {
		return nil
	}
	by, err := Claim(i.Claim)
	if err != nil || by.ID != i.ClaimID {
		return nil
	}
	return by
}

// leftClaim is a claim that could not be removed.
type leftClaim struct {
	of  *kept.Identity // nil: there is none
	why error
	at  time.Time
}
