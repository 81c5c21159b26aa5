package token

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is of the protocol. Each side refuses another one: gateway and helper may be
// of different packages.
const Version = 1

// maxFrame is the most bytes of a request or an answer.
const maxFrame = 64 << 10

// Operation is what the helper is to do.
type Operation string

const (
	Public   Operation = "public"   // what the world may know of a key
	Sign     Operation = "sign"     // sign a digest
	Generate Operation = "generate" // make a key on P-256 that never leaves the token
	List     Operation = "list"     // name the tokens and the keys
)

// Request is what the gateway asks of its helper, one request a process.
type Request struct {
	Version   int       `json:"version"`
	Operation Operation `json:"operation"`
	URI       string    `json:"uri"`
	Digest    []byte    `json:"digest,omitempty"` // to sign
}

// Answer is what the helper says.
type Answer struct {
	Version int    `json:"version"`
	Fault   Fault  `json:"fault,omitempty"` // "" if it did what it was asked
	Text    string `json:"text,omitempty"`  // of the fault, for people

	Public    []byte   `json:"public,omitempty"`    // the key in DER as X.509 has it
	Weakness  string   `json:"weakness,omitempty"`  // what could be better about the key, for people
	Signature []byte   `json:"signature,omitempty"` // the two numbers one after the other, each as long as the curve's
	Found     []string `json:"found,omitempty"`     // names of keys, or of tokens without any
}

// Fault is the kind of trouble of the helper.
type Fault string

const (
	FaultRequest Fault = "request" // the request is not one that the helper does
	FaultModule  Fault = "module"  // the vendor's library cannot be loaded
	FaultAbsent  Fault = "absent"  // no such token is there
	FaultPIN     Fault = "pin"     // the token does not take the PIN: once more may lock it
	FaultLost    Fault = "lost"    // the token is there, and has no such key
	FaultDevice  Fault = "device"  // the token refuses something
)

// Write writes a request or an answer: its size in 4 bytes, then its JSON.
func Write(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxFrame {
		return errFrame
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// Read reads what [Write] wrote.
func Read(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return errFrame
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

var errFrame = errors.New("a message of the protocol is longer than 64 KiB")

// CheckVersion returns why the other side is not understood.
func CheckVersion(version int) error {
	if version != Version {
		return fmt.Errorf("the gateway and %s are of different versions (protocol %d and %d): install both of one", Helper,
			version, Version)
	}
	return nil
}
