package identity

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

// clock compares the time here with what else is known of the time: who vouches
// for it, when this program was made, when our files were written, and when the
// certificates were made that both sides use.
func (c *check) clock() {
	s := c.step(Clock)
	s.reached()
	s.fact("here", "%s", c.now.UTC().Format("2006-01-02 15:04:05 UTC"))
	if !c.o.Built.IsZero() {
		s.fact("program made", "%s", day(c.o.Built))
	}
	if len(c.server) > 0 {
		s.fact("server certificate", "%s", c.agrees(c.server[0]))
	}
	if len(c.own) > 0 {
		s.fact("our certificate", "%s", c.agrees(c.own[0]))
	}
	const fix = "set it (timedatectl set-time), and let a time service keep it (timedatectl set-ntp true)"
	if why := c.mustBeLater(); why != "" {
		s.warn(fmt.Sprintf("the clock is wrong: it says %s, but %s", day(c.now), why), fix)
	}
	if c.clocksDiffer() {
		s.warn(fmt.Sprintf("this clock (%s) and the server's differ: for the server our certificate has expired, for us it is valid until %s", day(c.now), day(c.leaf().NotAfter)), fix)
	}
	if c.o.Synced == nil {
		return
	}
	if c.o.Synced() {
		s.fact("synchronised", "yes, says the kernel")
		return
	}
	s.fact("synchronised", "no, says the kernel")
	s.warn("no time service vouches for the clock, so messages are marked as unsynced", "run one (timedatectl set-ntp true, or chrony)")
}

// agrees says how the time here stands to a certificate.
func (c *check) agrees(cert *x509.Certificate) string {
	switch {
	case c.now.Before(cert.NotBefore):
		return fmt.Sprintf("begins %s", inDays(cert.NotBefore.Sub(c.now)))
	case c.now.After(cert.NotAfter):
		return fmt.Sprintf("ended %s", inDays(cert.NotAfter.Sub(c.now)))
	}
	return "agrees with it"
}

// outOfDate reports whether our certificate is not valid by the clock here.
func (c *check) outOfDate() bool {
	leaf := c.leaf()
	return leaf != nil && (c.now.Before(leaf.NotBefore) || c.now.After(leaf.NotAfter))
}

// clocksDiffer reports whether the server takes our certificate for expired,
// which it is not by the clock here.
func (c *check) clocksDiffer() bool {
	return c.alert == "expired certificate" && c.leaf() != nil && !c.outOfDate()
}

// slack is how much a clock may differ without being called wrong.
const slack = 10 * time.Minute

// mustBeLater returns what shows that it is later than the clock says, or "".
func (c *check) mustBeLater() string {
	later := func(t time.Time) bool { return t.After(c.now.Add(slack)) }
	if later(c.o.Built) {
		return "this program was made on " + day(c.o.Built)
	}
	for _, path := range []string{string(c.o.Config.Certificate), string(c.o.Config.PrivateKey), string(c.o.Config.CA)} {
		if info, err := os.Stat(path); err == nil && later(info.ModTime()) {
			return fmt.Sprintf("%s was written on %s", path, day(info.ModTime()))
		}
	}
	if len(c.server) > 0 && later(c.server[0].NotBefore) && len(c.own) > 0 && later(c.own[0].NotBefore) {
		return "the server's certificate and ours were both made later"
	}
	return ""
}
