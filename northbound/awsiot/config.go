package awsiot

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/payload"
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

// SetDefaults sets what is used where the file says nothing. The client id, the
// server name and the status topic follow from other keys.
func (c *Config) SetDefaults() {
	*c = Config{
		LiveShare: 0.8,
		Commands:  Commands{MaxAge: setting.Duration(30 * time.Second)},
		Shadow:    Shadow{Every: setting.Duration(time.Minute)},
	}
	c.Config.SetDefaults()
	c.Settings.SetDefaults()
}
