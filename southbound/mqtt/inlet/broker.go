package inlet

import "fieldbridge/setting"

// Broker is the embedded broker (listen, or tls with listen) or one of the site
// (url).
type Broker struct {
	// Listen is the address where the embedded broker listens for sensors, or a
	// list of them: host:port, or ws://host:port/path for WebSocket, without a path
	// for any. Port 0 takes any that is free. Unless there are users, it must be a
	// loopback address.
	Listen Addresses `yaml:"listen"`
	// TLS is another address of the embedded broker, for sensors that encrypt;
	// or how a broker of the site is trusted.
	TLS *TLS `yaml:"tls"`
	// Anonymous lets clients without a user name in, on any address and to all
	// topics. The default is false.
	Anonymous bool `yaml:"anonymous"`
	// Users are who may connect to the embedded broker, by name. Without users,
	// anyone may on a loopback address.
	Users map[string]User `yaml:"users"`
	// MaxMessage is the largest packet that the embedded broker takes, 1 KiB to
	// 16 MiB; the default is 2MiB, less (256KiB at the least) where memory is small.
	// A larger message is skipped and acknowledged, and told; MQTT 5 clients know
	// the limit.
	MaxMessage setting.Size `yaml:"max_message"`
	// Origins are the web pages whose scripts may connect by WebSocket, as
	// https://panel.example:8443, or "*" for all. The default is those of the host
	// that listens, asked for by its address or as localhost. What is no browser
	// names no page, and is let in.
	Origins []string `yaml:"origins"`
	// MaxClients is how many clients may be connected to the embedded broker;
	// the default is 500.
	MaxClients int `yaml:"max_clients"`

	// URL is the address of a broker of the site: mqtt://host:port, or
	// mqtts://host:port for TLS, ws://host:port/path and wss://host:port/path for
	// WebSocket. Of a list each is tried in turn, the one that worked last first. It
	// is asked for MQTT 5, and if it knows only MQTT 3.1.1, that is used.
	URL Addresses `yaml:"url"`
	// Publish are messages that the gateway sends to that broker when it connects, or to
	// the clients of the embedded one when it starts, and at intervals: devices such as
	// Victron's say nothing without, and some are asked for each value.
	Publish []Publish `yaml:"publish"`
	// ClientID is how the gateway calls itself at that broker; the default is
	// the gateway's name with "-south". Messages published while the gateway is
	// away wait at the broker under this name.
	ClientID string `yaml:"client_id"`
	// Username is for a broker of the site that asks for one.
	Username string `yaml:"username"`
	// PasswordFile holds the password on its first line.
	PasswordFile setting.Path `yaml:"password_file"`
}

// TLS is the encryption of a broker. Files are read again when they change.
type TLS struct {
	// Listen is the address where the embedded broker listens for sensors that
	// encrypt, or a list of them: host:port, or wss://host:port/path.
	Listen Addresses `yaml:"listen"`
	// Certificate is a PEM file: the embedded broker's certificate, or the one
	// that the gateway shows to a broker of the site; the leaf first, then
	// intermediates.
	Certificate setting.Path `yaml:"certificate"`
	// PrivateKey is a PEM file with the certificate's key.
	PrivateKey setting.Path `yaml:"private_key"`
	// CA is a PEM file with the authorities that the certificate of the site's
	// broker may come from; the default is those of the system. At the embedded
	// broker, clients must show a certificate that comes from one of them.
	CA setting.Path `yaml:"ca"`
	// ServerName is the name in the certificate of the site's broker; the
	// default is the host of url.
	ServerName string `yaml:"server_name"`
	// Fingerprint is the SHA-256 of the certificate of the site's broker. That
	// certificate alone is trusted then, whatever names, authority and dates it has.
	Fingerprint setting.Fingerprint `yaml:"fingerprint"`
}

// Publish is a message that is sent at intervals, with QoS 0.
type Publish struct {
	Topic   string           `yaml:"topic"`   // of the message, without wildcards
	Payload string           `yaml:"payload"` // of the message; the default is none
	Every   setting.Duration `yaml:"every"`   // how often, 1s or more
	// Retain has the broker keep it for clients that come later, as Sparkplug's STATE.
	Retain bool `yaml:"retain"`
}

// User is who may connect to the embedded broker.
type User struct {
	// PasswordFile holds the password on its first line, or its hash as Mosquitto
	// writes it ($7$ or $6$). It is read when the user connects.
	PasswordFile setting.Path `yaml:"password_file"`
	// Topics are the topic filters that the user may publish and subscribe to;
	// the default is all.
	Topics []string `yaml:"topics"`
}

// The limits of the embedded broker unless the configuration gives others.
const (
	defaultMaxMessage = 2 << 20 // bytes of a packet
	defaultMaxClients = 500
)

// PacketLimit returns the largest packet that the embedded broker takes, in bytes.
func (b *Broker) PacketLimit() int {
	if b.MaxMessage == 0 {
		return defaultMaxMessage
	}
	return int(b.MaxMessage)
}

// ClientLimit returns how many clients may be connected at once.
func (b *Broker) ClientLimit() int {
	if b.MaxClients == 0 {
		return defaultMaxClients
	}
	return b.MaxClients
}

// Files returns the files that t names. A nil t names none.
func (t *TLS) Files() setting.TLSFiles {
	if t == nil {
		return setting.TLSFiles{}
	}
	return setting.TLSFiles{Certificate: t.Certificate, PrivateKey: t.PrivateKey, CA: t.CA}
}
