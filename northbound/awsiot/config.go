package awsiot

import (
	"fmt"
	"strconv"
	"strings"

	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// Config is the section northbound.awsiot.
type Config struct {
	uplink.Config
	payload.Settings
	// LiveShare is the part of the rate that fresh readings get at most while a
	// backlog drains, 1% to 99%.
	LiveShare Share `yaml:"live_share"`
	// StatusTopic is where birth, last will, catalogue and tombstones go;
	// {gateway} and {label.NAME} are replaced.
	StatusTopic string `yaml:"status_topic"`
	remote.Access
	// Jobs are the operations that jobs of AWS IoT may ask for, of config, update,
	// os-update, rotate, restart and diagnose. Without any, the gateway does not listen
	// for jobs.
	Jobs []string `yaml:"jobs"`
	// Identity is one that the gateway gets for itself and renews.
	Identity life.Settings `yaml:"identity"`
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

// SetDefaults sets what is used where the file says nothing. The client id, the
// server name and the status topic follow from other keys.
func (c *Config) SetDefaults() {
	*c = Config{LiveShare: 0.8}
	c.Config.SetDefaults()
	c.Settings.SetDefaults()
	c.Access.SetDefaults()
	c.Identity.SetDefaults()
}

// OverRate returns what of a forecast for emissions is more than rate allows.
func (c *Config) OverRate(
	gateway string, labels map[string]string, emissions []payload.Emission, f payload.Forecast,
) []setting.Problem {
	return c.Excess(gateway, labels, emissions, f, payload.Rate{Messages: c.Rate.Messages, Bytes: float64(c.Rate.Bytes)})
}
