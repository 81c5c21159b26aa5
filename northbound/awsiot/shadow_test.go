package awsiot

import (
	"encoding/json"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

func TestShadowReportsOnlyDifferences(t *testing.T) {
	var mu sync.Mutex
	report := map[string]any{"queue": map[string]any{"waiting": 0, "dropped": 0},
		"devices": map[string]any{"boiler": "good"}}
	bubble(t, func(cfg *Config, o *Options) {
		cfg.Shadow.Name, cfg.Shadow.Every = "gateway", setting.Duration(time.Minute)
		o.Report = func() map[string]any {
			mu.Lock()
			defer mu.Unlock()
			data, _ := json.Marshal(report)
			var copied map[string]any
			_ = json.Unmarshal(data, &copied)
			return copied
		}
	}, func(r *rig) {
		const prefix = "$aws/things/gateway-1/shadow/name/gateway/"
		updates := func() (all []map[string]any) {
			for _, m := range r.arrived(prefix + "update") {
				var v struct {
					State   struct{ Reported map[string]any }
					Version float64
				}
				if err := json.Unmarshal(m.Payload, &v); err != nil || len(m.Payload) > 8<<10 {
					t.Errorf("update of %d bytes: %v", len(m.Payload), err)
				}
				v.State.Reported["_version"] = v.Version
				all = append(all, v.State.Reported)
			}
			return all
		}
		r.start()
		<-r.links
		time.Sleep(10 * time.Second)
		first := updates()
		if len(first) != 1 || first[0]["version"] != "1.2.3" ||
			first[0]["platform"] != runtime.GOOS+"/"+runtime.GOARCH || first[0]["certificate_expires"] == nil ||
			len(r.arrived(prefix+"get")) != 1 {
			t.Fatalf("first updates %v", first)
		}
		time.Sleep(10 * time.Minute)
		if n := len(updates()); n != 1 {
			t.Errorf("%d updates though nothing changed", n)
		}
		mu.Lock()
		report["queue"] = map[string]any{"waiting": 7, "dropped": 0}
		delete(report, "devices")
		mu.Unlock()
		time.Sleep(time.Minute)
		want := map[string]any{"queue": map[string]any{"waiting": 7.0}, "devices": nil, "_version": 1.0}
		if diff := cmp.Diff(want, updates()[1]); diff != "" {
			t.Errorf("update (-want +got):\n%s", diff)
		}
		// Someone else changes the shadow: 409, and the next try works.
		r.cloud.UpdateShadow("gateway-1", "gateway", `{"state":{"desired":{"x":1}}}`)
		mu.Lock()
		report["more"] = true
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		all := updates()
		if last := all[len(all)-1]; last["more"] != true || last["_version"] != 3.0 {
			t.Errorf("after a conflict: %v", last)
		}
		// A reconnect begins with get, not with everything again.
		before := len(all)
		r.cloud.Drop("")
		<-r.links
		time.Sleep(10 * time.Second)
		if n := len(r.arrived(prefix + "get")); n < 2 {
			t.Errorf("%d gets", n)
		}
		if all = updates(); len(all) != before+1 || all[before]["version"] != nil {
			t.Errorf("after reconnecting: %v", all[before:])
		}
	})
}

// TestShadowTriesAgain: what fails is tried again soon, and then ever more
// seldom.
func TestShadowTriesAgain(t *testing.T) {
	shadowed(t, &fakeWriter{}, nil, func(r *rig) {
		const get = "$aws/things/gateway-1/shadow/name/gateway/get"
		var tries atomic.Int64
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
			if m.Topic == get {
				tries.Add(1)
				return awsiottest.Verdict{Code: 0x97}
			}
			return awsiottest.Verdict{}
		})
		r.desire(commandNow("1", setSetpoint))
		time.Sleep(20 * time.Second)
		if n := tries.Load(); n != 3 { // at once, after 5 s and after 10 s more
			t.Errorf("%d tries in 20 s", n)
		}
		time.Sleep(10 * time.Minute)
		if n := tries.Load(); n > 40 {
			t.Errorf("%d tries in 10 min", n)
		}
		r.cloud.Script(nil)
		time.Sleep(2 * time.Minute)
		r.desire(commandNow("2", setSetpoint))
		r.wantOutcome("when it works again", `"id":"2"`, `"outcome":"done"`)
	})
}
