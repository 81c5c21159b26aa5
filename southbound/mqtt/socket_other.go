//go:build !linux

package mqtt

import "net"

// socket is Linux's; elsewhere connections are read and written by package net.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) read([]byte) (int, error)  { panic("no socket") }
func (*socket) write([]byte) (int, error) { panic("no socket") }
