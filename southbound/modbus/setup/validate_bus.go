package setup

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/wire"
)

// bus checks one bus.
func (f *finder) bus(b Bus) {
	a, err := wire.ParseURL(b.URL)
	switch {
	case b.URL == "":
		f.on("a bus without url", urlFix)
	case err != nil:
		f.bad("url", err.Error(), urlFix)
	}
	if b.Timeout <= 0 {
		f.bad("timeout", "no time for an answer", "use 1s, or what the slowest device needs")
	}
	if b.Retries < 0 || b.Retries > maxRetries {
		f.bad("retries", fmt.Sprintf("%d retries", b.Retries), "use 0 to 10")
	}
	switch {
	case b.Pipeline < 1 || b.Pipeline > maxPipeline:
		f.bad("pipeline", fmt.Sprintf("%d requests at once", b.Pipeline), "use 1 to 16")
	case b.Pipeline > 1 && err == nil && !a.Numbered():
		f.bad("pipeline", "several requests at once on "+a.Scheme+"://", "a line carries one at a time: remove pipeline")
	}
	switch {
	case !b.IgnoreTransactionIDs || err != nil:
	case a.Scheme != "tcp" && a.Scheme != "tls":
		f.bad("ignore_transaction_ids", "transaction ids on "+a.Scheme+"://", "they are of tcp:// and tls://: remove it")
	case b.Pipeline > 1:
		f.bad("ignore_transaction_ids", "several requests at once whose answers cannot be told apart", "remove pipeline")
	}
	f.port(b, a)
	if b.RS485 != nil {
		if !a.Serial() && err == nil {
			f.bad("rs485", "a direction to turn on "+a.Scheme+"://", "rs485 is for rtu:// and ascii://: remove it")
		}
		for key, d := range map[string]time.Duration{"delay_before": b.RS485.DelayBefore.D(),
			"delay_after": b.RS485.DelayAfter.D()} {
			if d%time.Millisecond != 0 || d > maxRTSDelay {
				f.bad("rs485/"+key, "a delay of "+d.String(), "drivers know whole milliseconds, up to 100ms")
			}
		}
	}
	if b.TLS != nil {
		f.tls(b, a)
	}
}

// allUnits checks a device that is all units of a line: none answers.
func (f *finder) allUnits(d Device) {
	for _, name := range slices.Sorted(maps.Keys(d.Points)) {
		if p := d.Points[name]; p.Access != permit.Write {
			f.bad("points/"+name, "unit 0 is all units of the line, and none answers",
				"add access: write: it can only be written; or give the unit_id of one, 1 to 255")
			return
		}
	}
}

// maxPipeline is as many as the specification lets servers take (Modbus
// Messaging on TCP/IP V1.0b, section 4.3.1: NumberMaxOfServerTransaction).
const maxPipeline = 16

// maxRTSDelay is the longest that Linux takes (RS485_MAX_RTS_DELAY).
const maxRTSDelay = 100 * time.Millisecond

// port checks how a serial port is set.
func (f *finder) port(b Bus, a wire.Address) {
	if b.Baud < 50 || b.Baud > 4_000_000 {
		f.bad("baud", fmt.Sprintf("%d baud", b.Baud), "use 50 to 4000000, mostly 9600 or 19200")
	}
	switch {
	case b.DataBits == 7 && a.Scheme == "rtu":
		f.bad("data_bits", "7 data bits on rtu://",
			"RTU needs 8; a line with 7 carries Modbus ASCII: write ascii:// in the url")
	case b.DataBits != 0 && b.DataBits != 8 && b.DataBits != 7:
		f.bad("data_bits", fmt.Sprintf("%d data bits", b.DataBits), "use 8, or 7 on ascii://")
	}
	switch wire.Parity(b.Parity) {
	case wire.NoParity, wire.EvenParity, wire.OddParity:
	default:
		f.bad("parity", fmt.Sprintf("%q is not a parity", b.Parity), suggest(b.Parity, []string{"even", "none", "odd"}))
	}
	if b.StopBits != 1 && b.StopBits != 2 {
		f.bad("stop_bits", fmt.Sprintf("%d stop bits", b.StopBits), "use 1 or 2")
	}
}

// tls checks who is trusted and who we are.
func (f *finder) tls(b Bus, a wire.Address) {
	if a.Scheme != "tls" && a.Scheme != "" {
		f.bad("tls", "certificates for "+a.Scheme+"://", "write tls:// in the url, or remove tls")
	}
	if b.TLS.Certificate != "" && b.TLS.PrivateKey == "" {
		f.bad("tls", "a certificate without its private_key", "add private_key")
	}
	if text, fix := b.TLS.Fingerprint.Wrong(b.TLS.CA, b.TLS.ServerName); text != "" {
		f.bad("tls/fingerprint", text, fix)
	}
	if b.TLS.PrivateKey != "" && b.TLS.Certificate == "" {
		f.bad("tls", "a private_key without its certificate", "add certificate")
	}
}

// urlFix says how to write the URL of a bus.
const urlFix = "write tcp://HOST[:PORT], tls://HOST[:PORT], udp://HOST[:PORT], rtu:///dev/ttyUSB0, " +
	"rtu+tcp://HOST:PORT, ascii:///dev/ttyUSB0 or ascii+tcp://HOST:PORT"
