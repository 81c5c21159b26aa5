package identity

import "encoding/binary"

// clientHello is what we offered (RFC 8446, 4.1.2).
type clientHello struct {
	serverName string
	versions   []uint16
	protocols  []string // ALPN
	suites     int
}

// serverHello is what the server chose (RFC 8446, 4.1.3).
type serverHello struct {
	version  uint16
	suite    uint16
	protocol string // ALPN; TLS 1.3 encrypts it elsewhere
	retry    bool   // a HelloRetryRequest: it asks for another key share first
}

// Handshake messages and extensions (RFC 8446, 4 and 4.2).
const (
	typeClientHello = 1
	typeServerHello = 2

	extensionServerName = 0
	extensionALPN       = 16
	extensionVersions   = 43
)

// retryRandom marks a HelloRetryRequest (RFC 8446, 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// parseClientHello reads the body of a ClientHello.
func parseClientHello(body []byte) (h clientHello, ok bool) {
	c := cursor{rest: body, ok: true}
	version := c.uint16()
	c.take(32) // random
	c.vector8()
	h.suites = len(c.vector16()) / 2
	c.vector8() // compression
	h.versions = []uint16{version}
	c.extensions(func(kind uint16, data *cursor) {
		switch kind {
		case extensionServerName:
			names := cursor{rest: data.vector16(), ok: true}
			if names.uint8() == 0 { // host_name, the only kind there is (RFC 6066, 3)
				h.serverName = string(names.vector16())
			}
		case extensionALPN:
			h.protocols = data.protocols()
		case extensionVersions:
			list := cursor{rest: data.vector8(), ok: true}
			h.versions = nil
			for len(list.rest) >= 2 {
				h.versions = append(h.versions, list.uint16())
			}
		}
	})
	return h, c.ok
}

// parseServerHello reads the body of a ServerHello.
func parseServerHello(body []byte) (h serverHello, ok bool) {
	c := cursor{rest: body, ok: true}
	h.version = c.uint16()
	h.retry = string(c.take(32)) == retryRandom
	c.vector8()
	h.suite = c.uint16()
	c.uint8() // compression
	c.extensions(func(kind uint16, data *cursor) {
		switch kind {
		case extensionALPN:
			if p := data.protocols(); len(p) > 0 {
				h.protocol = p[0]
			}
		case extensionVersions:
			if v := data.uint16(); data.ok {
				h.version = v
			}
		}
	})
	return h, c.ok
}

// cursor reads TLS's presentation language (RFC 8446, 3). After a mistake ok is
// false and all that is read is empty.
type cursor struct {
	rest []byte
	ok   bool
}

func (c *cursor) take(n int) []byte {
	if !c.ok || len(c.rest) < n {
		c.ok, c.rest = false, nil
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uint8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) vector8() []byte  { return c.take(int(c.uint8())) }
func (c *cursor) vector16() []byte { return c.take(int(c.uint16())) }

// protocols reads an ALPN extension (RFC 7301, 3.1).
func (c *cursor) protocols() []string {
	list := cursor{rest: c.vector16(), ok: true}
	var all []string
	for len(list.rest) > 0 {
		if p := list.vector8(); len(p) > 0 {
			all = append(all, string(p))
		}
	}
	return all
}

// extensions calls f for each extension of a hello; old ones have none.
func (c *cursor) extensions(f func(kind uint16, data *cursor)) {
	if !c.ok || len(c.rest) == 0 {
		return
	}
	list := cursor{rest: c.vector16(), ok: true}
	for len(list.rest) > 0 {
		kind := list.uint16()
		data := cursor{rest: list.vector16(), ok: true}
		if !list.ok {
			c.ok = false
			return
		}
		f(kind, &data)
	}
}
