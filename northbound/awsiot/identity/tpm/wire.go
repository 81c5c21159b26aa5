package tpm

import "encoding/binary"

// Numbers of the TPM Library, Part 2: Structures, §6 (constants) and §7 (handles).
const (
	ccCreatePrimary = 0x131
	ccCreate        = 0x153
	ccLoad          = 0x157
	ccSign          = 0x15d
	ccFlushContext  = 0x165
	ccReadPublic    = 0x173

	tagNoSessions = 0x8001
	tagSessions   = 0x8002
	tagHashCheck  = 0x8024

	hierarchyOwner       = 0x40000001
	hierarchyNull        = 0x40000007
	hierarchyEndorsement = 0x4000000b
	sessionPassword      = 0x40000009

	algRSA    = 0x0001
	algAES    = 0x0006
	algSHA256 = 0x000b
	algSHA384 = 0x000c
	algNull   = 0x0010
	algECDSA  = 0x0018
	algECC    = 0x0023
	algCFB    = 0x0043

	curveP256 = 0x0003
	curveP384 = 0x0004
)

// headerSize is of commands and responses: tag, size, code.
const headerSize = 10

// command is a command as it is put together. Handles that need leave to be used are
// given to newCommand; the leave is the empty password.
type command struct{ b []byte }

func newCommand(code uint32, handles ...uint32) *command {
	c := &command{b: make([]byte, 0, 256)}
	tag := uint16(tagNoSessions)
	if len(handles) > 0 {
		tag = tagSessions
	}
	c.u16(tag).u32(0).u32(code)
	for _, h := range handles {
		c.u32(h)
	}
	if len(handles) > 0 {
		// Size of the area; handle, nonce, attributes and password of one session.
		c.u32(9).u32(sessionPassword).u16(0)
		c.b = append(c.b, 0)
		c.u16(0)
	}
	return c
}

func (c *command) u16(v uint16) *command {
	c.b = binary.BigEndian.AppendUint16(c.b, v)
	return c
}

func (c *command) u32(v uint32) *command {
	c.b = binary.BigEndian.AppendUint32(c.b, v)
	return c
}

// sized appends a buffer after its size of 2 bytes.
func (c *command) sized(b []byte) *command {
	c.u16(uint16(len(b)))
	c.b = append(c.b, b...)
	return c
}

// sensitive appends the secret parts of a new key: no password, no data.
func (c *command) sensitive() *command { return c.u16(4).u32(0) }

func (c *command) bytes() []byte {
	binary.BigEndian.PutUint32(c.b[2:], uint32(len(c.b)))
	return c.b
}

// reader takes a structure apart. Once something is missing, err is set and all that
// follows is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.err = errGarbled
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) sized() []byte { return r.take(int(r.u16())) }
