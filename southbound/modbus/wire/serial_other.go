//go:build !linux

package wire

import "errors"

// OpenSerial opens and sets a serial port: on Linux only.
func OpenSerial(Serial) (Stream, error) {
	return nil, errors.New("serial ports are for Linux only: use tcp:// or rtu+tcp://")
}
