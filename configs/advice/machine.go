package advice

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
	"fieldbridge/southbound/mqtt"
)

// ModbusHere looks for what section southbound.modbus needs of this machine: serial
// ports and certificates.
func ModbusHere(c setup.Config) (found setting.Found) {
	for _, name := range slices.Sorted(maps.Keys(c.Buses)) {
		serial(&found, c.Buses[name].URL, "buses", name, "url")
		if t := c.Buses[name].TLS; t != nil {
			certificates(&found, setting.TLSFiles{Certificate: t.Certificate, PrivateKey: t.PrivateKey, CA: t.CA}, "buses",
				name, "tls")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		serial(&found, c.Devices[name].URL, "devices", name, "url")
	}
	return found
}

// MQTTHere looks at the certificates that section southbound.mqtt names.
func MQTTHere(c mqtt.Config) (found setting.Found) {
	for _, name := range slices.Sorted(maps.Keys(c.Brokers)) {
		if tls := c.Brokers[name].TLS; tls != nil {
			certificates(&found, tls.Files(), "brokers", name, "tls")
		}
	}
	return found
}

// UplinkHere looks at the certificate that section northbound.awsiot names. sibling
// says whether a name is a gateway's of the same fleet.
func UplinkHere(c *uplink.Config, gateway string, sibling func(name string) bool) (found setting.Found) {
	leaf := certificates(&found, c.Files())
	if leaf == nil {
		return found
	}
	if cn := leaf.Subject.CommonName; cn != gateway && sibling(cn) {
		found.Warn(fmt.Sprintf("the certificate is of gateway %s of this fleet", cn),
			"give each gateway its own: two with one identity throw each other out", "certificate")
	}
	return found
}

// serial warns of a serial port that is not here.
func serial(found *setting.Found, url string, path ...string) {
	at, err := wire.ParseURL(url)
	if err != nil || !at.Serial() {
		return
	}
	is, err := os.Stat(at.Host)
	if err == nil && is.Mode()&os.ModeCharDevice == 0 {
		found.Warn(at.Host+" is no serial port", "name one, as /dev/ttyUSB0 or one of /dev/serial/by-id", path...)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	fix := "no serial adapter is plugged in here"
	if there := wire.SerialPorts(); there != nil {
		fix = "there are " + strings.Join(there, ", ")
	}
	found.Warn(at.Host+" is not there", fix, path...)
}

// soon is how long before its end a certificate is told.
const soon = 30 * 24 * time.Hour

// certificates warns of files that are there and of no use, and returns the own
// certificate, nil if there is none.
func certificates(found *setting.Found, files setting.TLSFiles, path ...string) *x509.Certificate {
	if _, err := files.Pool(); err != nil {
		useless(found, err, path)
	}
	if files.Certificate == "" || files.PrivateKey == "" {
		return nil
	}
	pair, err := files.Pair()
	if err != nil {
		useless(found, err, path)
		return nil
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil // Pair has read it
	}
	at := append(path[:len(path):len(path)], "certificate")
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		found.Warn(fmt.Sprintf("the certificate has expired on %s", uplink.Day(leaf.NotAfter)),
			"put a new one in its place; or is the clock of this machine wrong?", at...)
	case now.Before(leaf.NotBefore):
		found.Warn(fmt.Sprintf("the certificate is not valid before %s", uplink.Day(leaf.NotBefore)),
			"is the clock of this machine right?", at...)
	case now.Add(soon).After(leaf.NotAfter):
		found.Warn(fmt.Sprintf("the certificate expires on %s", uplink.Day(leaf.NotAfter)), "have a new one made", at...)
	}
	return leaf
}

// kind says what a file is in which there is no PEM block that key wants, and what to
// do; "" if it is not known.
func kind(data []byte, key string) (is, fix string) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil && len(data) > 0 && data[0] == 0x30: // a sequence (X.690, section 8.9)
		if _, err := x509.ParseCertificate(data); err == nil {
			return ", but one in DER", "turn it into PEM: openssl x509 -inform der -in FILE -out FILE.pem"
		}
		return ", but something in DER, as a PKCS #12 file (.p12, .pfx) is",
			"take certificate and key out of it: openssl pkcs12 -nodes -in FILE -out FILE.pem"
	case block == nil:
		return "", ""
	case block.Type == "CERTIFICATE":
		return ", but a certificate", "name the private key that was made with it; are certificate and private_key mixed up?"
	case block.Type == "CERTIFICATE REQUEST":
		return ", but the request for one", "name the certificate that the authority made of it"
	case block.Type == "PUBLIC KEY":
		return ", but a public key", "of the files that AWS gives name the one that ends with " + map[bool]string{
			true: "-private.pem.key", false: "-certificate.pem.crt"}[key == "private_key"]
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return ", but a private key", "name the certificate; are certificate and private_key mixed up?"
	}
	return "", ""
}

// useless tells of a file that cannot be used; one that cannot be read is told
// elsewhere.
func useless(found *setting.Found, err error, path []string) {
	var file *setting.FileError
	if !errors.As(err, &file) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, setting.ErrUTF16) {
		return
	}
	var no *fs.PathError
	if errors.As(err, &no) {
		return
	}
	text, fix := file.Error(), "give a PEM file, with -----BEGIN lines"
	switch {
	case errors.Is(err, setting.ErrKeyMismatch):
		text = fmt.Sprintf("%s %s does not belong to the certificate", file.Key, file.Path)
		fix = "use the key that was made with it, or have a new certificate made"
	case errors.Is(err, setting.ErrEncryptedKey):
		fix = "decrypt it: nobody is there to type a passphrase"
	case errors.Is(err, setting.ErrNoCertificate), errors.Is(err, setting.ErrNoKey):
		if data, err := file.Path.Read(); err == nil {
			is, other := kind(data, file.Key)
			text, fix = text+is, cmp.Or(other, fix)
		}
	}
	found.Warn(text, fix, append(path[:len(path):len(path)], file.Key)...)
}
