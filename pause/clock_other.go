//go:build !linux

package pause

import "errors"

func newClock() (*clock, error) { return nil, errors.ErrUnsupported }
