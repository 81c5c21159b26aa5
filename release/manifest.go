package release

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"fieldbridge/minisign"
)

// Manifest says what a release is. It is what is signed.
type Manifest struct {
	Version string `json:"version"`
	OS      string `json:"os"`           // as Go calls it
	Arch    string `json:"architecture"` // as Go calls it
	Size    int64  `json:"size"`         // of the program, bytes
	SHA256  string `json:"sha256"`       // of the program, hexadecimal
	// Floor is the oldest version that may follow, once this one is committed; "" to
	// leave it as it is.
	Floor string `json:"floor,omitempty"`
}

// The bounds of what is read, in bytes.
const (
	maxManifest = 4 << 10
	maxProgram  = 64 << 20
)

// Roots are the keys that may sign a release. They are built into the program: no
// file and no job changes them.
type Roots []minisign.PublicKey

// ParseRoots reads keys of minisign, parted by commas or spaces.
func ParseRoots(text string) (Roots, error) {
	var roots Roots
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		k, err := minisign.ParsePublicKey(line)
		if err != nil {
			return nil, err
		}
		roots = append(roots, k)
	}
	return roots, nil
}

// ErrNoRoots is that a program was built without root keys.
var ErrNoRoots = errors.New("this program was built without root keys, so it takes no release over the air: " +
	"install a package")

// Read checks the signature of a manifest and reads it. It does not say whether the
// release may run here: see [Manifest.fits].
func (r Roots) Read(text []byte, signature string) (Manifest, error) {
	var m Manifest
	if len(r) == 0 {
		return m, ErrNoRoots
	}
	if len(text) > maxManifest || len(signature) > maxManifest {
		return m, fmt.Errorf("the manifest or its signature is larger than %d bytes", maxManifest)
	}
	var err error
	for _, k := range r {
		if _, err = k.Verify(text, signature); err == nil {
			break
		}
	}
	if err != nil {
		return m, fmt.Errorf("the manifest is not signed by a root key: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text)) // what a later version adds is left out
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	switch {
	case !isVersion(m.Version):
		return m, fmt.Errorf("%q is no version: one has three numbers, as 1.2.3", m.Version)
	case m.Floor != "" && !isVersion(m.Floor):
		return m, fmt.Errorf("the floor %q is no version", m.Floor)
	case Compare(m.Floor, m.Version) > 0:
		return m, fmt.Errorf("the floor %s is above the version %s itself", m.Floor, m.Version)
	case m.Size < elfHeader || m.Size > maxProgram:
		return m, fmt.Errorf("a program of %d bytes is not taken: at most %d are", m.Size, maxProgram)
	case len(m.SHA256) != 64:
		return m, errors.New("the manifest names no SHA-256")
	}
	return m, nil
}

// fits says why a program cannot run on this machine.
func (m Manifest) fits() error {
	if m.OS != runtime.GOOS || m.Arch != runtime.GOARCH {
		return fmt.Errorf("release %s is for %s/%s, and this machine is %s/%s", m.Version, m.OS, m.Arch, runtime.GOOS,
			runtime.GOARCH)
	}
	return nil
}

// elfHeader is how much of a program is looked at, in bytes: up to e_machine.
const elfHeader = 20

// machines are the processors of System V's ABI (e_machine, ELF header): the class
// (1: 32 bits, 2: 64 bits), the order of bytes (1: little, 2: big), the number.
var machines = map[string]struct {
	class, order byte
	number       uint16
}{
	"386": {1, 1, 3}, "amd64": {2, 1, 62}, "arm": {1, 1, 40}, "arm64": {2, 1, 183}, "riscv64": {2, 1, 243},
	"mipsle": {1, 1, 8}, "mips": {1, 2, 8}, "mips64le": {2, 1, 8}, "mips64": {2, 2, 8},
	"ppc64le": {2, 1, 21}, "s390x": {2, 2, 22}, "loong64": {2, 1, 258},
}

// Arch returns the processor, as Go calls it, that a program is for by its first bytes.
func Arch(program []byte) (string, error) {
	for arch := range machines {
		if checkELF(program, arch) == nil {
			return arch, nil
		}
	}
	return "", errors.New("it is no program of Linux for a processor that is known")
}

// checkELF says why a program that begins with head does not run on arch.
func checkELF(head []byte, arch string) error {
	if len(head) < elfHeader || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return errors.New("it is no program of Linux: it does not begin as an ELF file does")
	}
	m, known := machines[arch]
	if !known {
		return nil // the kernel will say it
	}
	var order binary.ByteOrder = binary.LittleEndian
	if m.order == 2 {
		order = binary.BigEndian
	}
	if head[4] != m.class || head[5] != m.order || order.Uint16(head[18:]) != m.number {
		return fmt.Errorf("it is a program for another processor than %s", arch)
	}
	return nil
}
