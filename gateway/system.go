//go:build !small

package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	"fieldbridge/gateway/gate"
	"fieldbridge/gateway/orders"
	"fieldbridge/gateway/rauc"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// takeSystems has jobs replace the operating system, where RAUC does that.
func takeSystems(g *Gateway, operations map[string]jobs.Operation, fetcher orders.Fetcher,
	quiet orders.Quiet) {
	operations["os-update"] = orders.System{
		Dial:    func(ctx context.Context) (orders.Machine, error) { return rauc.Dial(ctx, "") },
		Fetcher: fetcher, Hold: func() string { return holdSystem(g) }, Ready: g.releases.ready, Quiet: quiet,
		Boot: func() (string, error) {
			id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			return strings.TrimSpace(string(id)), err
		},
		Before: func(within time.Duration) (json.RawMessage, error) {
			return json.Marshal(gate.Before{State: g.bearing(), Within: cmp.Or(within, g.releases.within())})
		},
		Judge: func(ctx context.Context, noted json.RawMessage) string {
			var before gate.Before
			_ = json.Unmarshal(noted, &before) // what another program noted otherwise asks for nothing
			trial := gate.Trial{Before: before, Ready: g.releases.ready, Now: g.bearing, Log: g.log,
				Commit: func() error { return nil }, Tell: func(gate.Standing) {}}
			return trial.Run(ctx)
		},
	}
}

// holdSystem says why no system may go on trial now.
func holdSystem(g *Gateway) string {
	if g.releases.trial.Load() != nil {
		return "a release of the program is on trial"
	}
	return g.holdRelease()
}
