package inlet

import "fieldbridge/setting"

// Broker is the embedded broker (listen, or tls with listen) or one of the site
// (url).
type Broker struct {
	// Listen is the address, host:port, where the embedded broker listens for
	// sensors. Port 0 takes any that is free. Unless there are users, it must be
	// a loopback address.
	Listen string `yaml:"listen"`
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
	// 16 MiB; the default is 256KiB.
	MaxMessage setting.Size `yaml:"max_message"`
	// MaxClients is how many clients may be connected to the embedded broker;
	// the default is 500.
	MaxClients int `yaml:"max_clients"`

	// URL is the address of a broker of the site: mqtt://host:port, or
	// mqtts://host:port for TLS. It is asked for MQTT 5, and if it knows only MQTT
	// 3.1.1, that is used.
	URL string `yaml:"url"`
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
	// Listen is the address, host:port, where the embedded broker listens for
	// sensors that encrypt.
	Listen string `yaml:"listen"`
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
	defaultMaxMessage = 256 << 10 // bytes of a packet
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
