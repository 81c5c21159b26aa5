//go:build small

package gateway

import (
	"fieldbridge/gateway/orders"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// takeSystems does nothing: the small program replaces no operating system.
func takeSystems(*Gateway, map[string]jobs.Operation, orders.Fetcher, orders.Quiet) {}
