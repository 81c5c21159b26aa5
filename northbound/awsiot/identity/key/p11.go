package key

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"fieldbridge/northbound/awsiot/identity/token"
)

// p11Way is the key in a PKCS #11 token; its key file holds its name.
var p11Way = way{
	place: func(p Place) bool {
		_, err := token.Parse(string(p))
		return err == nil
	},
	is:   func(contents []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(contents), []byte(token.Scheme)) },
	open: openP11,
	make: makeP11,
}

// helper is the program that loads vendors' libraries.
var helper = token.Installed()

func openP11(ctx context.Context, contents []byte) (*Key, error) {
	u, err := token.Parse(strings.TrimSpace(string(contents)))
	if err != nil {
		return nil, err
	}
	k, err := helper.Open(ctx, u)
	if err != nil {
		return nil, orLost(err)
	}
	return &Key{Signer: k, Where: "in a PKCS #11 token", Weakness: k.Weakness()}, nil
}

func makeP11(ctx context.Context, p Place) ([]byte, error) {
	u, err := token.Parse(string(p))
	if err != nil {
		return nil, err
	}
	made, err := helper.Create(ctx, u)
	if err != nil {
		return nil, orLost(err)
	}
	return []byte(made.String() + "\n"), nil
}

func orLost(err error) error {
	if errors.Is(err, token.ErrLost) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}
