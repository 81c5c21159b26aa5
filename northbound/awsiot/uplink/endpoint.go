package uplink

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is where AWS IoT Core speaks MQTT over mutual TLS.
const DefaultPort = "8883"

// splitEndpoint returns the host and the port of an endpoint.
func splitEndpoint(endpoint string) (host, port string, err error) {
	host, port = endpoint, DefaultPort
	if strings.Contains(endpoint, "://") {
		return "", "", fmt.Errorf("the endpoint %q has a scheme", endpoint)
	}
	if bare := strings.Trim(endpoint, "[]"); net.ParseIP(bare) != nil {
		return bare, port, nil
	}
	if strings.Contains(endpoint, ":") {
		if host, port, err = net.SplitHostPort(endpoint); err != nil {
			return "", "", fmt.Errorf("the endpoint %q is not host:port", endpoint)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("the endpoint %q has an impossible port", endpoint)
	}
	if host == "" || strings.ContainsAny(host, "/ {}") {
		return "", "", fmt.Errorf("the endpoint %q has an impossible host", endpoint)
	}
	return host, port, nil
}
