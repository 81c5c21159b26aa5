package setup

import (
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/wire"
)

// Bus is one serial line or one TCP connection to Modbus units.
type Bus struct {
	// URL says where the bus is: tcp://HOST[:PORT] (port 502 unless given),
	// tls://HOST[:PORT] (Modbus/TCP Security, 802), udp://HOST[:PORT] (the frames
	// of TCP in datagrams, 502), rtu:///dev/ttyUSB0 (a serial line) or
	// rtu+tcp://HOST:PORT (a converter that passes RTU frames on), and
	// ascii:///dev/ttyUSB0 and ascii+tcp://HOST:PORT for Modbus ASCII. Name USB
	// adapters by /dev/serial/by-id/..., which stays the same.
	URL string `yaml:"url"`
	// Timeout is how long to wait for an answer, and for a connection; on a
	// serial line the time of the transmission comes on top. Default 1s.
	Timeout setting.Duration `yaml:"timeout"`
	// Retries is how often a request is sent again when no answer came, or that
	// the device is busy. Default 1. Other exceptions are answers.
	Retries int `yaml:"retries"`
	// Pause is the least time between an answer and the next request. Default 0;
	// a serial line keeps the silence of the specification in any case.
	Pause setting.Duration `yaml:"pause"`
	// ConnectDelay is how long to wait after connecting before the first
	// request. Default 0.
	ConnectDelay setting.Duration `yaml:"connect_delay"`
	// IdleClose closes the connection when it was not used for so long, for
	// devices that serve one client at a time. Default 0: never.
	IdleClose setting.Duration `yaml:"idle_close"`
	// Pipeline is how many requests are outstanding at once on tcp://, tls:// and
	// udp://, 1 to 16; Pause does not apply then. Default 1: many devices take no more.
	Pipeline int `yaml:"pipeline"`
	// IgnoreTransactionIDs is for devices whose answers do not repeat the transaction id
	// of the request, on tcp:// and tls://: then answers are told apart as on rtu+tcp://.
	// Default false.
	IgnoreTransactionIDs bool `yaml:"ignore_transaction_ids"`
	// Baud is the speed of a serial line in bits per second. Default 9600.
	Baud int `yaml:"baud"`
	// DataBits is 8 on rtu://; on ascii:// 7 (the default there) or 8.
	DataBits int `yaml:"data_bits"`
	// Parity is even (the default), odd or none.
	Parity string `yaml:"parity"`
	// StopBits is 1 (the default) or 2.
	StopBits int `yaml:"stop_bits"`
	// RS485 lets the driver of a serial port turn the direction of the line, on
	// Linux. Most adapters do it by themselves.
	RS485 *RS485 `yaml:"rs485"`
	// TLS is who is trusted on tls://, and who we are.
	TLS *TLS `yaml:"tls"`
}

// SetDefaults fills in what a bus is unless told otherwise.
func (b *Bus) SetDefaults() {
	b.Timeout = setting.Duration(time.Second)
	b.Retries = 1
	b.Pipeline = 1
	b.Baud, b.Parity, b.StopBits = 9600, "even", 1
}

// dataBits returns how many data bits a character has at a.
func (b *Bus) dataBits(a wire.Address) int {
	switch {
	case b.DataBits != 0:
		return b.DataBits
	case a.ASCII():
		return 7
	}
	return 8
}

// RS485 is how the driver turns the direction of a line (Linux TIOCSRS485).
type RS485 struct {
	// RTSOnSend is whether RTS is high while sending. Default true.
	RTSOnSend bool `yaml:"rts_on_send"`
	// RTSAfterSend is whether RTS is high after sending. Default false.
	RTSAfterSend bool `yaml:"rts_after_send"`
	// DelayBefore is from RTS to the first bit, in whole milliseconds.
	DelayBefore setting.Duration `yaml:"delay_before"`
	// DelayAfter is from the last bit to RTS, in whole milliseconds.
	DelayAfter setting.Duration `yaml:"delay_after"`
}

// SetDefaults fills in what most adapters need.
func (r *RS485) SetDefaults() { r.RTSOnSend = true }

// TLS is the security of a tls:// bus (Modbus/TCP Security, mutual TLS 1.2 or
// later). Files are read when the bus connects, so they may be renewed.
type TLS struct {
	// CA is the file of the authority that signed the device's certificate.
	// Default: the system's authorities.
	CA setting.Path `yaml:"ca"`
	// Certificate is the file of our certificate; without one we show none.
	Certificate setting.Path `yaml:"certificate"`
	// PrivateKey is the file of the key that belongs to it.
	PrivateKey setting.Path `yaml:"private_key"`
	// ServerName is the name in the device's certificate. Default: the host.
	ServerName string `yaml:"server_name"`
	// Fingerprint is the SHA-256 of the device's certificate. That certificate
	// alone is trusted then, whatever names, authority and dates it has.
	Fingerprint setting.Fingerprint `yaml:"fingerprint"`
}
