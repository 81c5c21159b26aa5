package life

import (
	"errors"
	"fmt"

	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
)

// chipError is trouble with a key that lives in a chip. Of what is below it no more is
// known than whether the key is lost: that the chip's device is not there does not mean
// that the key file is not.
type chipError struct {
	of  string // whose key: an identity, or a key of the configuration
	err error
}

func (e *chipError) Error() string { return fmt.Sprintf("%s: %v", e.of, e.err) }

// Is implements what [errors.Is] asks.
func (e *chipError) Is(target error) bool {
	return (target == key.ErrAway || target == key.ErrLost) && errors.Is(e.err, target)
}

// Explain implements [uplink.Explained].
func (e *chipError) Explain() uplink.Explanation {
	if errors.Is(e.err, key.ErrLost) {
		return uplink.Act("%s: %v: have a new identity made, the certificate is of no use without its key", e.of, e.err)
	}
	return uplink.Wait("%s: %v", e.of, e.err)
}
