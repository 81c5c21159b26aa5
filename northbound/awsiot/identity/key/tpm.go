package key

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"fieldbridge/northbound/awsiot/identity/tpm"
)

// tpmWay is the key that a TPM 2.0 made and never tells: in a file that only this TPM
// can use, or under a handle in it.
var tpmWay = way{
	place: func(p Place) bool {
		_, err := tpm.ParseHandle(string(p))
		return p == TPM || err == nil
	},
	is:   tpm.Is,
	open: openTPM,
	make: makeTPM,
}

var machine = tpm.Machine()

func openTPM(ctx context.Context, contents []byte) (*Key, error) {
	k, err := machine.Open(ctx, contents)
	switch {
	case errors.Is(err, tpm.ErrPassword):
		return nil, ErrEncrypted
	case errors.Is(err, tpm.ErrLost):
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	return &Key{Signer: k, Where: "in the TPM", Weakness: k.Weakness()}, nil
}

// makeTPM makes a key; one under a handle was made by another program, and is used.
func makeTPM(ctx context.Context, p Place) ([]byte, error) {
	if p == TPM {
		return machine.Create(ctx)
	}
	contents := []byte(strings.TrimSpace(string(p)) + "\n")
	_, err := openTPM(ctx, contents)
	return contents, err
}

// Endorsement returns what tells this machine's TPM from all others: the SHA-256 of
// its endorsement key, in hex.
func Endorsement(ctx context.Context) (string, error) { return machine.Endorsement(ctx) }
