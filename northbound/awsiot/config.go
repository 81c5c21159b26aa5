package awsiot

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
)

// Config is the section northbound.awsiot.
type Config struct {
	// Endpoint is the data endpoint of the AWS account, host or host:port. The
	// port is 8883 unless given; 443 speaks ALPN x-amzn-mqtt-ca.
	Endpoint string `yaml:"endpoint"`
	// ServerName is the name in the server's certificate, also sent as SNI. The
	// default is the endpoint's host.
	ServerName string `yaml:"server_name"`
	// ClientID is the MQTT client id, at most 128 bytes. The default is the
	// gateway's name. Two gateways with one client id throw each other out.
	ClientID string `yaml:"client_id"`
	// Certificate is a PEM file with the gateway's certificate, followed by
	// intermediate ones if there are.
	Certificate setting.Path `yaml:"certificate"`
	// PrivateKey is a PEM file with its key: PKCS#1, PKCS#8 or SEC 1; RSA or
	// ECDSA.
	PrivateKey setting.Path `yaml:"private_key"`
	// CA is a PEM file with the roots that may vouch for the server. The default
	// are Amazon Root CA 1 to 4 and Starfield Services G2, built in.
	CA setting.Path `yaml:"ca"`
	// Proxy is the URL of a proxy to go through: http://host:3128, by CONNECT,
	// or socks5://host:1080; user:password@ before the host if it asks. The
	// default is none; the environment is not asked.
	Proxy string `yaml:"proxy"`
	payload.Settings
	// LiveShare is the part of the rate that fresh readings get at most while a
	// backlog drains, 1% to 99%.
	LiveShare Share `yaml:"live_share"`
	// Window is the most messages in flight, 1 to 100.
	Window int `yaml:"window"`
	// Rate is the most that is published per second.
	Rate Rate `yaml:"rate"`
	// AckTimeout is how long the cloud may acknowledge nothing while messages
	// are in flight, before the connection is given up.
	AckTimeout setting.Duration `yaml:"ack_timeout"`
	// KeepAlive is the longest silence before the connection is probed, 30s to
	// 1200s.
	KeepAlive setting.Duration `yaml:"keep_alive"`
	// ConnectTimeout is for all of one attempt to connect: name, TCP, TLS and
	// MQTT.
	ConnectTimeout setting.Duration `yaml:"connect_timeout"`
	// Backoff is how long to wait between attempts to connect.
	Backoff Backoff `yaml:"backoff"`
	// StatusTopic is where birth, last will, catalogue and tombstones go;
	// {gateway} and {label.NAME} are replaced.
	StatusTopic string `yaml:"status_topic"`
	// Commands says whether the cloud may command this gateway.
	Commands Commands `yaml:"commands"`
	// Shadow reports the gateway's health into a named shadow of its thing.
	Shadow Shadow `yaml:"shadow"`
}

// Commands are taken only in the ways that are given: without one, the cloud
// cannot command the gateway.
type Commands struct {
	// Topic is where commands come from; {gateway} and {label.NAME} are replaced.
	Topic string `yaml:"topic"`
	// Executions takes the executions of AWS IoT Commands that are for the thing
	// called as the gateway. Default false.
	Executions bool `yaml:"executions"`
	// Desired takes the command in the desired state of shadow.name. Default
	// false.
	Desired bool `yaml:"desired"`
	// MaxAge is how old a command may be when it arrives, 1s to 1h.
	MaxAge setting.Duration `yaml:"max_age"`
}

// ways returns how commands may come, for people.
func (c *Commands) ways(shadow *Shadow) []string {
	var all []string
	if c.Topic != "" {
		all = append(all, "topic "+c.Topic)
	}
	if c.Executions {
		all = append(all, "AWS IoT Commands")
	}
	if c.Desired {
		all = append(all, "shadow "+shadow.Name)
	}
	return all
}

// Shadow is a named device shadow of the thing that is called as the gateway.
type Shadow struct {
	// Name is the shadow's name, at most 64 letters, digits, :, _ and -. Without
	// it nothing is reported.
	Name string `yaml:"name"`
	// Every is how often what has changed is reported, 10s to 1d.
	Every setting.Duration `yaml:"every"`
}

// Share is a part of a whole, 0 to 1, written in percent: 80%.
type Share float64

// UnmarshalText reads 80%.
func (s *Share) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || v < 0 || v > 100 {
		return fmt.Errorf("%q is not a share: write it as 80%%", text)
	}
	*s = Share(v / 100)
	return nil
}

// String writes s as it is read.
func (s Share) String() string {
	return strconv.FormatFloat(float64(s)*100, 'f', -1, 64) + "%"
}

// Rate is a limit per second. AWS allows 100 messages and 512 KiB per second on
// one connection, in both directions together; 0 lifts a limit, for a broker
// that is not AWS's.
type Rate struct {
	// Messages is the most messages per second, 1 to 100; 0 is no limit.
	Messages float64 `yaml:"messages"`
	// Bytes is the most bytes per second, at most 512KiB; 0 is no limit.
	Bytes setting.Size `yaml:"bytes"`
}

// Backoff is how long to wait between attempts to connect that the cloud
// refuses: it doubles from min to max, and a random part of it is waited. A port
// that does not answer is tried every one to two seconds instead.
type Backoff struct {
	// Min is the first wait, at least 1s: AWS takes one CONNECT per second. After
	// a start the gateway connects within min.
	Min setting.Duration `yaml:"min"`
	// Max is the longest wait.
	Max setting.Duration `yaml:"max"`
	// Gateways is how many may lose the cloud together, 1 to 1000000: their first
	// CONNECTs after that are spread over gateways/250 seconds, at least 2s and
	// min, half of the 500 per second that AWS takes of an account. In a fleet
	// file of more than 500 it is their number unless given.
	Gateways int `yaml:"gateways"`
}

// SetDefaults sets what is used where the file says nothing. The client id, the
// server name and the status topic follow from other keys.
func (c *Config) SetDefaults() {
	*c = Config{
		LiveShare:      0.8,
		Window:         20,
		Rate:           Rate{Messages: 80, Bytes: 400 << 10},
		AckTimeout:     setting.Duration(30 * time.Second),
		KeepAlive:      setting.Duration(60 * time.Second),
		ConnectTimeout: setting.Duration(15 * time.Second),
		Commands:       Commands{MaxAge: setting.Duration(30 * time.Second)},
		Shadow:         Shadow{Every: setting.Duration(time.Minute)},
		Backoff:        Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(2 * time.Minute), Gateways: 1},
	}
	c.Settings.SetDefaults()
}
