package commission

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/goburrow/modbus"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/wire"
)

func TestAdvice(t *testing.T) {
	connect := func(err error) error { return &wire.ConnectError{Err: err} }
	for _, tt := range []struct {
		err  error
		url  string
		want string // a part
	}{
		{wire.Plain(&modbus.ModbusError{FunctionCode: 131, ExceptionCode: 2}), "tcp://a", "manuals often count from 1"},
		{&modbus.ModbusError{FunctionCode: 131, ExceptionCode: 11}, "tcp://a",
			"check --unit, and the line behind the gateway"},
		{&modbus.ModbusError{FunctionCode: 131, ExceptionCode: 99}, "tcp://a", ""},
		{connect(syscall.ECONNREFUSED), "tcp://a", "check the port"},
		{connect(wire.ErrTimeout), "tcp://a", "check the address"},
		{connect(&wire.NameError{Name: "a", Unknown: true}), "tcp://a", "check the name, and the name server"},
		{connect(&wire.RefusedError{Err: errors.New("bad certificate")}), "tls://a", "files under tls"},
		{connect(&setting.FileError{Key: "ca", Path: "none.pem", Err: fs.ErrNotExist}), "tls://a", "files under tls"},
		{connect(syscall.EBUSY), "rtu:///dev/ttyUSB0", "--via FILE"},
		{connect(fs.ErrPermission), "rtu:///dev/ttyUSB0", "dialout"},
		{connect(fs.ErrNotExist), "rtu:///dev/ttyUSB0", ""},
		{wire.ErrTimeout, "tcp://a", "scan finds those that answer"},
		{wire.ErrTimeout, "rtu:///dev/ttyUSB0", "A and B"},
		{wire.ErrTimeout, "rtu+tcp://a:1", "use tcp://"},
		{connect(wire.ErrTimeout), "tls://a", "no TLS"},
		{&wire.DisconnectError{Err: syscall.ECONNRESET}, "tcp://a", "one connection only"},
		{&wire.ProtocolError{Text: "no"}, "tcp://a", "rtu+tcp://"},
		{&wire.ProtocolError{Text: "no"}, "rtu:///dev/ttyUSB0", "--baud and --parity"},
		{errors.New("70000 does not fit in uint16"), "tcp://a", ""},
	} {
		got := Advice(fmt.Errorf("read unit 1: %w", tt.err), tt.url)
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%v on %s: %q, want %q", tt.err, tt.url, got, tt.want)
		}
	}
	if text := wire.Plain(&modbus.ModbusError{FunctionCode: 131,
		ExceptionCode: 2}).Error(); text != "exception 2, illegal data address" {
		t.Errorf("an exception is told as %q", text)
	}
}

// Who asks by a file is advised in the words of its keys: no flag of another command.
func TestAdviceOnFile(t *testing.T) {
	for _, err := range []error{wire.ErrTimeout, &wire.ConnectError{Err: syscall.EBUSY},
		&wire.DisconnectError{Err: syscall.EPIPE},
		&wire.ProtocolError{Text: "no"}, &modbus.ModbusError{FunctionCode: 131, ExceptionCode: 2},
		&modbus.ModbusError{FunctionCode: 131, ExceptionCode: 11}} {
		for _, url := range []string{"tcp://a", "rtu:///dev/ttyUSB0", "rtu+tcp://a:1"} {
			got := AdviceOnFile(err, url)
			rest := strings.NewReplacer("URL --line", "", "URL --addresses", "").Replace(got)
			if Advice(err, url) != "" && got == "" || strings.Contains(rest, "--") {
				t.Errorf("%v on %s: %q", err, url, got)
			}
		}
	}
}
