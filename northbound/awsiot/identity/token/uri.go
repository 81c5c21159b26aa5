package token

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Scheme begins the name of a key in a token.
const Scheme = "pkcs11:"

// URI names a key in a token, as RFC 7512 writes it:
//
//	pkcs11:token=plant;object=gateway?module-path=/usr/lib/libx.so&pin-source=file:/etc/x.pin
//
// What is not given fits every token or key.
type URI struct {
	Token, Manufacturer, Model, Serial string // of the token

	Object string // label of the key
	ID     string // bytes of the key's CKA_ID

	Module string // path of the vendor's library
	// PIN is where the PIN is: file:/PATH, /PATH, or credential:NAME for one that
	// systemd hands to the service. "" is for tokens that ask for none.
	PIN string
}

// Errors of names.
var (
	errPINInside = errors.New("the PIN must not stand in it: put it into a file and name that in pin-source")
	errModule    = errors.New("there is no module-path, the absolute path of the vendor's PKCS #11 library")
	errPINSource = errors.New("pin-source is neither file:/PATH nor credential:NAME")
)

// attributes are the fields of u by their names in the path and in the query.
func (u *URI) attributes() (path, query map[string]*string) {
	return map[string]*string{"token": &u.Token, "manufacturer": &u.Manufacturer, "model": &u.Model, "serial": &u.Serial,
			"object": &u.Object, "id": &u.ID},
		map[string]*string{"module-path": &u.Module, "pin-source": &u.PIN}
}

// Parse reads a name.
func Parse(text string) (*URI, error) {
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return nil, fmt.Errorf("%q does not begin with %s", text, Scheme)
	}
	u := &URI{}
	path, query := u.attributes()
	before, after, _ := strings.Cut(rest, "?")
	if err := fill(before, ";", path); err != nil {
		return nil, err
	}
	if err := fill(after, "&", query); err != nil {
		return nil, err
	}
	switch name, isCredential := strings.CutPrefix(u.PIN, "credential:"); {
	case !filepath.IsAbs(u.Module):
		return nil, errModule
	case isCredential && (name == "" || strings.Contains(name, "/") || strings.HasPrefix(name, ".")),
		!isCredential && u.PIN != "" && !filepath.IsAbs(strings.TrimPrefix(u.PIN, "file:")):
		return nil, errPINSource
	}
	return u, nil
}

// fill sets the attributes of a part of a name. Those of vendors may be passed over
// (RFC 7512, §2.3): they begin with x-.
func fill(part, separator string, attributes map[string]*string) error {
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(part, separator) {
		if pair == "" {
			continue
		}
		name, escaped, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(escaped)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		to := attributes[name]
		switch {
		case seen[name]:
			return fmt.Errorf("%s is given twice", name)
		case name == "pin-value":
			return errPINInside
		case name == "type" && value != "private":
			return fmt.Errorf("type=%s is no private key", value)
		case to == nil && name != "type" && !strings.HasPrefix(name, "x-"):
			return fmt.Errorf("%q is no attribute that is known here", name)
		case strings.ContainsRune(value, 0) && name != "id":
			return fmt.Errorf("%s has a zero byte in it", name)
		}
		seen[name] = true
		if to != nil {
			*to = value
		}
	}
	return nil
}

// String returns the name as Parse reads it.
func (u *URI) String() string {
	path, query := u.attributes()
	var b strings.Builder
	b.WriteString(Scheme)
	put(&b, "", ";", path, "token", "manufacturer", "model", "serial", "object", "id")
	put(&b, "?", "&", query, "module-path", "pin-source")
	return b.String()
}

func put(b *strings.Builder, first, next string, attributes map[string]*string, names ...string) {
	separator := first
	for _, name := range names {
		if v := *attributes[name]; v != "" {
			fmt.Fprintf(b, "%s%s=%s", separator, name, escape(v, name == "id"))
			separator = next
		}
	}
}

// escape writes all bytes of an id in hex, and of other values those that mean
// something in a name.
func escape(v string, all bool) string {
	var b strings.Builder
	for _, c := range []byte(v) {
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; !all && (letter || c >= '0' && c <= '9' ||
			strings.IndexByte("-._~/:", c) >= 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
