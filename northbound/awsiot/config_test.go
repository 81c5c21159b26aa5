package awsiot

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
)

func validConfig() Config {
	var c Config
	c.SetDefaults()
	c.Endpoint = "a1b2c3d4-ats.iot.eu-central-1.amazonaws.com"
	c.Certificate, c.PrivateKey = "device.pem", "device.key"
	c.Topic = "plant/{gateway}"
	return c
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(c *Config)
		path   string // "" is no problem
		text   string
	}{
		"defaults":           {func(c *Config) {}, "", ""},
		"no endpoint":        {func(c *Config) { c.Endpoint = "" }, "endpoint", "no endpoint"},
		"scheme":             {func(c *Config) { c.Endpoint = "mqtts://a:8883" }, "endpoint", "has a scheme"},
		"port":               {func(c *Config) { c.Endpoint = "a:70000" }, "endpoint", "impossible port"},
		"IPv6":               {func(c *Config) { c.Endpoint = "[::1]:443" }, "", ""},
		"bare IPv6":          {func(c *Config) { c.Endpoint = "::1" }, "", ""},
		"no certificate":     {func(c *Config) { c.Certificate = "" }, "certificate", "no certificate"},
		"no key":             {func(c *Config) { c.PrivateKey = "" }, "private_key", "no private_key"},
		"client id":          {func(c *Config) { c.ClientID = "$x" }, "client_id", "refuses"},
		"long client id":     {func(c *Config) { c.ClientID = strings.Repeat("x", 129) }, "client_id", "refuses"},
		"wildcard client id": {func(c *Config) { c.ClientID = "a+b" }, "client_id", "no connect"},
		"proxy":              {func(c *Config) { c.Proxy = "socks5://u@10.0.0.1" }, "", ""},
		"proxy password":     {func(c *Config) { c.Proxy = "socks5://u:p@10.0.0.1" }, "proxy", "stands in the"},
		"proxy password twice": {func(c *Config) { c.Proxy, c.ProxyPasswordFile = "http://u:p@h:1", "f" },
			"proxy_password_file", "twice"},
		"proxy without user": {func(c *Config) { c.Proxy, c.ProxyPasswordFile = "http://h:1", "f" },
			"proxy_password_file", "nobody's"},
		"proxy scheme":         {func(c *Config) { c.Proxy = "https://10.0.0.1" }, "proxy", "scheme"},
		"proxy without scheme": {func(c *Config) { c.Proxy = "10.0.0.1:3128" }, "proxy", "not a URL"},
		"label":                {func(c *Config) { c.Topic = "{label.site}/{gateway}" }, "", ""},
		"unknown label":        {func(c *Config) { c.Topic = "{label.hall}" }, "topic", "no label \"hall\""},
		"format":               {func(c *Config) { c.Format = "csv" }, "format", "format \"csv\" is not known"},
		"rule":                 {func(c *Config) { c.BasicIngest = "plant_1" }, "", ""},
		"rule name":            {func(c *Config) { c.BasicIngest = "plant-1" }, "basic_ingest", "name of a rule"},
		"no topic":             {func(c *Config) { c.Topic = "" }, "topic", "no topic"},
		"unknown placeholder":  {func(c *Config) { c.Topic = "a/{dev}" }, "topic", "{dev} is not known"},
		"lone brace":           {func(c *Config) { c.Topic = "a/{device" }, "topic", "not closed"},
		"closing brace":        {func(c *Config) { c.Topic = "a/device}" }, "topic", "not closed"},
		"wildcard":             {func(c *Config) { c.Topic = "a/+/b" }, "topic", "wildcards"},
		"reserved":             {func(c *Config) { c.Topic = "$aws/things" }, "topic", "reserved"},
		"7 slashes":            {func(c *Config) { c.Topic = "a/b/c/d/e/f/g/{device}" }, "", ""},
		"8 slashes":            {func(c *Config) { c.Topic = "a/b/c/d/e/f/g/h/{device}" }, "topic", "8 slashes"},
		"256 bytes":            {func(c *Config) { c.Topic = strings.Repeat("x", 256-64) + "{device}" }, "", ""},
		"257 bytes": {func(c *Config) { c.Topic = strings.Repeat("x", 257-64) + "{device}" }, "topic",
			"257 bytes"},
		"device in status": {func(c *Config) { c.StatusTopic = "a/{device}" }, "status_topic", "no meaning"},
		"small message":    {func(c *Config) { c.MaxMessage = 100 }, "max_message", "100 is out of range"},
		"large message":    {func(c *Config) { c.MaxMessage = 131073 }, "max_message", "out of range"},
		"order":            {func(c *Config) { c.Order = "newest" }, "order", "order \"newest\" is not known"},
		"share":            {func(c *Config) { c.LiveShare = 1 }, "live_share", "100% is out of range"},
		"window":           {func(c *Config) { c.Window = 101 }, "window", "out of range"},
		"message rate":     {func(c *Config) { c.Rate.Messages = 101 }, "rate.messages", "out of range"},
		"no message rate":  {func(c *Config) { c.Rate.Messages = 0 }, "rate.messages", "there is no limit"},
		"no byte rate":     {func(c *Config) { c.Rate.Bytes = 0 }, "rate.bytes", "there is no limit"},
		"byte rate":        {func(c *Config) { c.Rate.Bytes = 1 << 20 }, "rate.bytes", "out of range"},
		"keep alive": {func(c *Config) { c.KeepAlive = setting.Duration(10 * time.Second) }, "keep_alive",
			"10s is out of range"},
		"ack timeout": {func(c *Config) { c.AckTimeout = 0 }, "ack_timeout", "out of range"},
		"backoff": {func(c *Config) { c.Backoff.Min = setting.Duration(time.Millisecond) }, "backoff.min",
			"1ms is out of range"},
		"backoff max below min": {func(c *Config) { c.Backoff.Max = setting.Duration(time.Millisecond) }, "backoff.max",
			"out of range"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := validConfig()
			tt.change(&c)
			problems := c.Validate("press-line-2", map[string]string{"site": "brno"})
			if tt.path == "" {
				if len(problems) > 0 {
					t.Fatalf("unexpected: %+v", problems)
				}
				return
			}
			if len(problems) != 1 || strings.Join(problems[0].Path, ".") != tt.path ||
				!strings.Contains(problems[0].Text, tt.text) || problems[0].Fix == "" {
				t.Fatalf("got %+v, want one at %s with %q and a fix", problems, tt.path, tt.text)
			}
		})
	}
}

func TestShare(t *testing.T) {
	var s Share
	if err := s.UnmarshalText([]byte("80%")); err != nil || s != 0.8 || s.String() != "80%" {
		t.Errorf("80%% = %v, %v", s, err)
	}
	for _, bad := range []string{"80", "0.8", "-1%", "101%", "%", ""} {
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
