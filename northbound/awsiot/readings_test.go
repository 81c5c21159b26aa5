package awsiot

import (
	"fmt"
	"math/rand/v2"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
)

var (
	noon       = time.UnixMilli(1763887500123)
	testLabels = map[string]string{"site": "brno", "area": "hall-2"}
)

func reading(point string, v bridge.Value) bridge.Reading {
	return bridge.Reading{Point: point, Value: v}
}

func emissions(devices, points int, every time.Duration) []payload.Emission {
	var all []payload.Emission
	for d := range devices {
		e := payload.Emission{Device: fmt.Sprint("device-", d), Every: every}
		for p := range points {
			e.Readings = append(e.Readings, reading(fmt.Sprint("register_", p), payload.Typical("uint16", p)))
		}
		all = append(all, e)
	}
	return all
}

// emitted returns what devices with 16-bit registers emit in some cycles of a
// second, split as the collector splits it.
func emitted(f bridge.Format, devices, points, cycles int) []bridge.Entry {
	var all []bridge.Entry
	r := rand.New(rand.NewPCG(1, 1))
	for c := range cycles {
		for d := range devices {
			b := bridge.Batch{Device: fmt.Sprint("device-", d), At: noon.Add(time.Duration(c) * time.Second)}
			for p := range points {
				b.Readings = append(b.Readings, reading(fmt.Sprint("register_", p), bridge.Uint(uint64(r.IntN(65536)))))
			}
			for len(b.Readings) > 0 {
				n, _ := f.Fit(&b)
				part := b
				part.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
				all = append(all, bridge.Entry{Run: "3k7q9x2m", Seq: uint64(len(all) + 1), Batch: part})
			}
		}
	}
	return all
}

func many(prefix string, n int) []bridge.Reading {
	var all []bridge.Reading
	for i := range n {
		all = append(all, reading(fmt.Sprint(prefix, "_", i), bridge.Uint(uint64(i))))
	}
	return all
}

func use(cfg *Config, id awsiottest.Identity) {
	cfg.Certificate, cfg.PrivateKey = setting.Path(id.Certificate), setting.Path(id.PrivateKey)
}

// What the rooms keep to themselves.
const (
	commandTimeout  = 30 * time.Second  // of remote
	waitingCommands = 20                // of remote
	commandsKey     = "awsiot.commands" // of remote, in the state
)
