package advice

import (
	"net"
	"regexp"

	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// amazon is a name of AWS IoT: what stands before .iot, and what follows.
var amazon = regexp.MustCompile(`^([a-z0-9.-]+)\.iot\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)

// region is how AWS names its regions: where it is, and a number.
var region = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)?-(central|north|south|east|west|(north|south)(east|west))-[1-9]$`)

// data is the name of a data endpoint whose certificate is of Amazon Trust Services.
var data = regexp.MustCompile(`^[a-z0-9]+[.-]ats$`)

// Uplink looks at the session of section northbound.awsiot.
func Uplink(c *uplink.Config) (found setting.Found) {
	host, port, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		host, port = c.Endpoint, uplink.DefaultPort
	}
	const ask = "`aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints the right one"
	name := amazon.FindStringSubmatch(host)
	if name != nil && !data.MatchString(name[1]) {
		found.Warn("this is no data endpoint of AWS IoT with -ats: either its certificate is of an authority that is no "+
			"longer trusted, or it is for something else", ask, "endpoint")
	} else if name != nil && !region.MatchString(name[2]) {
		found.Warn(name[2]+" is not how AWS names its regions (eu-central-1, us-east-1)", ask, "endpoint")
	}
	switch {
	case port == "1883":
		found.Warn("port 1883 is MQTT without TLS by custom, and the gateway speaks TLS alone",
			"leave the port out, which is 8883", "endpoint")
	case name != nil && port != "8883" && port != "443":
		found.Warn("AWS IoT takes MQTT with certificates on ports 8883 and 443 alone", "leave the port out, which is 8883",
			"endpoint")
	}
	return found
}
