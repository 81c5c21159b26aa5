package life

import (
	"errors"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
)

// Status tells how a choice came about and what becomes of it. Of its key it tells what
// was seen when that was opened last, or opens it.
func (l *Life) Status(c Choice, cfg *uplink.Config, s *Settings) *bridge.IdentityStatus {
	status := &bridge.IdentityStatus{Way: "none"}
	var contents []byte
	switch c.Kind {
	case OnTrial, Managed:
		contents = c.is.Key
		i := c.is
		if current := l.get(kept.Current); current != nil && current.Name == i.Name {
			i = current // proven meanwhile
		}
		status.Way, status.ID, status.Since, status.Trial = string(i.Way), i.ID(), i.Proven, i.Proven.IsZero()
		status.Rotates = l.rotates(i, s)
		if status.Trial {
			status.Rotates = time.Time{}
		}
		for _, path := range []string{cfg.Certificate.String(), cfg.PrivateKey.String()} {
			if path != "" {
				status.Unused = append(status.Unused, path)
			}
		}
	case Files:
		status.Way = "files"
		contents, _ = l.files.readKey(cfg)
	}
	if is := l.opened.facts(contents); is.err == nil {
		status.Key, status.Copyable, status.Weakness = is.where, is.copyable, is.weakness
	} else if errors.Is(is.err, key.ErrAway) || errors.Is(is.err, key.ErrLost) {
		status.Key, status.Weakness = "in a chip", is.err.Error()
	}
	status.Failed = l.GivenUp()
	return status
}

// GivenUp says why the last new identity was given up, "" if it was not.
func (l *Life) GivenUp() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		return ""
	}
	return l.failed.Why
}

// Conditions returns what is wrong with an identity whose status is given.
func (l *Life) Conditions(status *bridge.IdentityStatus) []condition.Condition {
	const subject = "identity"
	l.mu.Lock()
	left := l.left.of
	l.mu.Unlock()
	gone := left != nil && claimOf(left) == nil // a person has removed it
	l.mu.Lock()
	defer l.mu.Unlock()
	if gone && l.left.of == left {
		l.left = leftClaim{}
	}
	var all []condition.Condition
	if l.failed != nil {
		all = append(all, condition.IdentityNotRenewed.At(subject, l.failed.At, l.failed.Why))
	}
	if l.left.of != nil {
		all = append(all, condition.ClaimLeft.At(subject, l.left.at, l.left.why))
	}
	if status != nil && len(status.Unused) > 0 {
		all = append(all, condition.FilesUnused.At(subject, status.Since, status.Unused[0]))
	}
	return all
}

func (l *Life) leave(i *kept.Identity, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left.of == nil {
		l.left.at = time.Now()
	}
	l.left.of, l.left.why = i, why
}
