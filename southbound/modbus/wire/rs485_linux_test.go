package wire

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fieldbridge/needtest"
)

// TestRS485Bytes: what the kernel is told, byte by byte. No port that turns the
// direction is at hand in tests; a pseudo-terminal refuses the call.
func TestRS485Bytes(t *testing.T) {
	for _, tt := range []struct {
		config RS485
		want   rs485
	}{
		{RS485{}, rs485{flags: 1}},
		{RS485{RTSOnSend: true}, rs485{flags: 1 | 2}},
		{RS485{RTSAfterSend: true, DelayBefore: time.Millisecond}, rs485{flags: 1 | 4, delayBefore: 1}},
		{RS485{RTSOnSend: true, DelayBefore: 2 * time.Millisecond, DelayAfter: 1500 * time.Microsecond},
			rs485{flags: 1 | 2, delayBefore: 2, delayAfter: 1}},
	} {
		if got := tt.config.kernel(); got != tt.want {
			t.Errorf("%+v: %+v, want %+v", tt.config, got, tt.want)
		}
	}
}

// TestRS485Header compares the structure and the numbers with the C header of
// the kernel.
func TestRS485Header(t *testing.T) {
	cc := needtest.Program(t, "cc")
	dir := t.TempDir()
	program := `#include <stddef.h>
#include <stdio.h>
#include <linux/serial.h>
#include <asm/ioctls.h>
int main(void) {
	struct serial_rs485 s;
	printf("%lu %zu %zu %zu %zu %d %d %d\n", (unsigned long)TIOCSRS485, sizeof s, offsetof(struct serial_rs485, flags),
		offsetof(struct serial_rs485, delay_rts_before_send), offsetof(struct serial_rs485, delay_rts_after_send),
		SER_RS485_ENABLED, SER_RS485_RTS_ON_SEND, SER_RS485_RTS_AFTER_SEND);
	return 0;
}
`
	source, binary := filepath.Join(dir, "rs485.c"), filepath.Join(dir, "rs485")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-o", binary, source).CombinedOutput(); err != nil {
		needtest.Missing(t, "the kernel's headers do not compile: %v: %s", err, out)
	}
	out, err := exec.Command(binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	var v rs485
	want := strings.TrimSpace(string(out))
	got := fmt.Sprint(uint(unix.TIOCSRS485), unsafe.Sizeof(v), unsafe.Offsetof(v.flags), unsafe.Offsetof(v.delayBefore),
		unsafe.Offsetof(v.delayAfter),
		rs485Enabled, rs485RTSOnSend, rs485RTSAfterSend)
	if got != want {
		t.Errorf("request, size, offsets and flags are %s, the header has %s", got, want)
	}
}
