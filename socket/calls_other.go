//go:build !linux

package socket

import (
	"errors"
	"syscall"
)

// calls are for Linux.
type calls struct{ raw syscall.RawConn }

func callsOf(any) *calls { return nil }

func (*calls) read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*calls) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*calls) try([]byte) (int, error) { return 0, errors.ErrUnsupported }
