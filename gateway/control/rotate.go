package control

import (
	"context"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot"
)

// Rotate asks a gateway to make a new key and certificate.
type Rotate struct{}

// RotatePage is answered when the cloud has acknowledged a message with the new
// certificate, a minute later or more, or with why the one before is used again.
const RotatePage Page[Rotate, bridge.IdentityStatus] = "/rotate"

// Do has sink rotate.
func (Rotate) Do(ctx context.Context, sink *awsiot.Sink) (status bridge.IdentityStatus, err error) {
	if err := sink.Rotate(ctx); err != nil {
		return status, err
	}
	if s := sink.Link().Identity; s != nil {
		status = *s
	}
	return status, nil
}
