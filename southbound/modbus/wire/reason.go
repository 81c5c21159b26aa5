package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"syscall"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Reason returns why a request failed, and whether its unit did answer: an
// exception is an answer, unless a gateway says that the unit gave it none.
func Reason(err error) (reason bridge.Reason, answered bool) {
	if err == nil {
		return bridge.ReasonUnknown, true
	}
	if code, ok := ExceptionCode(err); ok {
		return bridge.Exception(code), code != gatewayPathUnavailable && code != gatewayTargetSilent
	}
	var (
		connect    *ConnectError
		disconnect *DisconnectError
		empty      *EmptyError
	)
	switch {
	case errors.As(err, &empty):
		return bridge.ReasonSentinel, true
	case errors.As(err, &connect):
		return ConnectReason(connect.Err), false
	case errors.Is(err, ErrTimeout):
		return bridge.ReasonTimeout, false
	case errors.As(err, &disconnect):
		if refused := (*RefusedError)(nil); errors.As(disconnect.Err, &refused) {
			return bridge.ReasonCertificate, false // TLS 1.3 tells after the handshake
		}
		return bridge.ReasonDisconnected, false
	}
	return bridge.ReasonProtocol, false
}

// Exceptions, Modbus Application Protocol V1.1b3, section 7: of a device, and of
// gateways.
const (
	illegalAddress         = 2
	deviceBusy             = 6
	gatewayPathUnavailable = 10
	gatewayTargetSilent    = 11
)

// ConnectReason returns why there is no connection.
func ConnectReason(err error) bridge.Reason {
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		verify   *tls.CertificateVerificationError
		refused  *RefusedError
		pin      *setting.PinError
		file     *setting.FileError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return bridge.ReasonRefused
	case errors.Is(err, ErrTimeout), errors.Is(err, syscall.ETIMEDOUT):
		return bridge.ReasonTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return bridge.ReasonDisconnected
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &hostname), errors.As(err, &verify),
		errors.As(err, &refused), errors.As(err, &pin), errors.As(err, &file):
		return bridge.ReasonCertificate
	}
	return bridge.ReasonUnreachable
}
