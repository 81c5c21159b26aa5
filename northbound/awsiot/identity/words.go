package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// day writes a time to the minute, in UTC.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// inDays says when something is, seen from now.
func inDays(d time.Duration) string {
	days := int(d.Abs() / (24 * time.Hour))
	text := fmt.Sprintf("%d days", days)
	switch days {
	case 0:
		text = "less than a day"
	case 1:
		text = "a day"
	}
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}

// took writes a time span in milliseconds.
func took(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
}

// shown is how many items of a list are shown.
const shown = 8

// shorten joins a list, of which others decide how long it is.
func shorten(list []string) string {
	if more := len(list) - shown; more > 0 {
		list = append(list[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

func subject(cert *x509.Certificate) string { return name(cert.Subject) }

func issuer(cert *x509.Certificate) string {
	if cert.Issuer.String() == cert.Subject.String() {
		return "itself"
	}
	return name(cert.Issuer)
}

// name is how people call the bearer of a certificate.
func name(n pkix.Name) string {
	if n.CommonName != "" {
		return n.CommonName
	}
	if s := n.String(); s != "" {
		return s
	}
	return "(no name)"
}

// cause says what is wrong with a file, whose name stands before; nothing is
// without an error.
func cause(err error, nothing string) string {
	var path *fs.PathError
	switch {
	case err == nil:
		return nothing
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
