package awsiot

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/uplink"
)

func TestBirthAndGoodbye(t *testing.T) {
	bubble(t, func(_ *Config, o *Options) { o.Labels = map[string]string{"site": "brno"} }, func(r *rig) {
		started := time.Now().Add(-time.Minute)
		r.notices.runs = []bridge.RunRecord{{Run: "run-1", Started: started, Previous: "run-0", PreviousLast: 41}}
		r.start()
		<-r.links
		connected := r.sink.Link().Since
		synctest.Wait()
		if len(r.notices.Runs()) > 0 {
			t.Error("the run record is not acknowledged")
		}
		time.Sleep(time.Minute)
		r.cancel()
		<-r.ended
		want := []map[string]any{
			{"v": 1.0, "gateway": "gateway-1", "run": "run-1", "type": "online", "at": float64(connected.UnixMilli()),
				"connection": 1.0,
				"version":    "1.2.3", "config": "abc", "labels": map[string]any{"site": "brno"}, "runs": []any{
					map[string]any{"run": "run-1", "previous": "run-0", "previous_last": 41.0,
						"started": float64(started.UnixMilli())}}},
			{"v": 1.0, "gateway": "gateway-1", "run": "run-1", "type": "offline", "at": float64(time.Now().UnixMilli()),
				"connection": 1.0, "reason": "stopped"},
		}
		if diff := cmp.Diff(want, r.statuses()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestLastWillNeverBeatsABirth(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		synctest.Wait()
		r.cloud.Drop("")
		<-r.links
		synctest.Wait()
		var got []string
		for _, s := range r.statuses() {
			got = append(got, fmt.Sprint(s["type"], s["connection"], s["reason"]))
		}
		if diff := cmp.Diff([]string{"online1 <nil>", "offline1lost", "online2 <nil>"}, got); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestConnectionNumbersSurviveARestart(t *testing.T) {
	state := &memoryState{}
	for want := 1; want <= 3; want++ {
		bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
			r.start()
			<-r.links
			synctest.Wait()
			if got := r.statuses()[0]["connection"]; got != float64(want) {
				t.Errorf("start %d: connection %v", want, got)
			}
		})
	}
}

func TestManyRunsInSeveralBirths(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		for i := range 450 {
			r.notices.runs = append(r.notices.runs, bridge.RunRecord{Run: fmt.Sprintf("run-%d", i)})
		}
		r.start()
		<-r.links
		time.Sleep(5 * time.Second)
		var sizes []int
		for _, s := range r.statuses() {
			runs, _ := s["runs"].([]any)
			sizes = append(sizes, len(runs))
		}
		if diff := cmp.Diff([]int{200, 200, 50}, sizes); diff != "" || len(r.notices.Runs()) != 0 {
			t.Errorf("runs per birth (-want +got):\n%s", diff)
		}
	})
}

func TestTombstones(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		synctest.Wait()
		since := time.UnixMilli(1763887500123)
		r.notices.mu.Lock()
		r.notices.tombstones = []bridge.Tombstone{
			{ID: 1, Run: "run-0", First: 10, Last: 19, Count: bridge.Count{Batches: 10, Readings: 200}, Cause: "dropped_full",
				Since: since, Until: since.Add(time.Second)},
			{ID: 2, Run: "run-0", First: 20, Cause: "damaged"},
		}
		r.notices.mu.Unlock()
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Code: 0x80} })
		r.notices.noticed <- struct{}{}
		time.Sleep(time.Minute)
		if len(r.notices.Tombstones()) != 2 {
			t.Fatal("a tombstone that was refused is gone")
		}
		r.cloud.Script(nil)
		time.Sleep(statusRetry)
		if left := r.notices.Tombstones(); len(left) != 0 {
			t.Errorf("%d tombstones are left", len(left))
		}
		all := r.statuses()
		want := map[string]any{"run": "run-0", "first": 10.0, "last": 19.0, "count": map[string]any{"batches": 10.0,
			"readings": 200.0},
			"cause": "dropped_full", "since": 1763887500123.0, "until": 1763887501123.0}
		if diff := cmp.Diff(want, all[1]["lost"]); diff != "" || all[1]["type"] != "lost" || len(all) != 3 {
			t.Errorf("%d messages, the first tombstone (-want +got):\n%s", len(all), diff)
		}
	})
}

func TestCatalogue(t *testing.T) {
	catalogue := &bridge.Catalogue{}
	boiler := bridge.DeviceInfo{Device: "boiler", Labels: map[string]string{"area": "boiler-house"},
		Points: []bridge.PointInfo{
			{Name: "mode", Type: "uint16", Enum: map[int64]string{0: "off", 1: "heating"}},
			{Name: "supply_temp", Type: "float32", Unit: "°C"},
		}}
	catalogue.Put(boiler)
	catalogue.Put(bridge.DeviceInfo{Device: "hall", Points: []bridge.PointInfo{{Name: "t", Type: "float64"}}})
	bubble(t, func(_ *Config, o *Options) { o.Catalogue = catalogue }, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"online", "catalog", "catalog"}, r.types()); diff != "" {
			t.Fatal(diff)
		}
		got := r.statuses()[1]
		delete(got, "at")
		want := map[string]any{"v": 1.0, "gateway": "gateway-1", "run": "run-1", "type": "catalog", "config": "abc",
			"device": "boiler",
			"labels": map[string]any{"area": "boiler-house"}, "points": map[string]any{
				"mode":        map[string]any{"type": "uint16", "enum": map[string]any{"0": "off", "1": "heating"}},
				"supply_temp": map[string]any{"type": "float32", "unit": "°C"}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("catalogue (-want +got):\n%s", diff)
		}
		// Only what changes is told again.
		boiler.Points = slices.Clone(boiler.Points[:1])
		catalogue.Put(boiler)
		catalogue.Remove("hall")
		time.Sleep(time.Second)
		all := r.statuses()
		if len(all) != 5 || all[3]["device"] != "boiler" || all[4]["device"] != "hall" || all[4]["removed"] != true {
			t.Errorf("after the change: %v", all[3:])
		}
	})
}

func TestConfigurationHashFollows(t *testing.T) {
	catalogue := &bridge.Catalogue{}
	bubble(t, func(_ *Config, o *Options) { o.Catalogue = catalogue }, func(r *rig) {
		r.start()
		<-r.links
		told := func(want ...string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			var got []string
			for _, s := range r.statuses() {
				got = append(got, fmt.Sprint(s["type"], " ", s["config"], " ", s["connection"]))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		}
		all := []string{"online abc 1"}
		told(all...)
		r.sink.SetConfigHash("def") // without any other change
		all = append(all, "online def 1")
		told(all...)
		r.sink.SetConfigHash("def")
		told(all...)
		catalogue.Put(bridge.DeviceInfo{Device: "hall", Points: []bridge.PointInfo{{Name: "t", Type: "float64"}}})
		all = append(all, "catalog def <nil>")
		told(all...)
		r.cloud.Drop("gateway-1")
		<-r.links
		all = append(all, "offline <nil> 1", "online def 2", "catalog def <nil>")
		told(all...)
		catalogue.Remove("hall")
		all = append(all, "catalog def <nil>")
		told(all...)
	})
}

func TestLargeCatalogueComesInParts(t *testing.T) {
	catalogue := &bridge.Catalogue{}
	d := bridge.DeviceInfo{Device: "large"}
	for i := range 5000 {
		d.Points = append(d.Points, bridge.PointInfo{Name: fmt.Sprintf("a_register_with_a_long_name_%d", i), Type: "uint16",
			Unit: "°C"})
	}
	catalogue.Put(d)
	bubble(t, func(_ *Config, o *Options) { o.Catalogue = catalogue }, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(10 * time.Second)
		all := r.statuses()[1:]
		points := 0
		for i, s := range all {
			points += len(s["points"].(map[string]any))
			if s["part"] != float64(i+1) || s["parts"] != float64(len(all)) {
				t.Errorf("part %v of %v", s["part"], s["parts"])
			}
		}
		if points != 5000 || len(all) < 3 {
			t.Errorf("%d points in %d parts", points, len(all))
		}
	})
}

func TestStatusIsPaced(t *testing.T) {
	catalogue := &bridge.Catalogue{}
	for i := range 50 {
		catalogue.Put(bridge.DeviceInfo{Device: fmt.Sprintf("d%d", i), Points: []bridge.PointInfo{{Name: "p", Type: "bool"}}})
	}
	bubble(t, func(_ *Config, o *Options) { o.Catalogue = catalogue }, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(5 * time.Second)
		if n := len(r.statuses()); n > 5*uplink.StatusRate+1 {
			t.Errorf("%d status messages in 5 s", n)
		}
		time.Sleep(6 * time.Second)
		if n := len(r.statuses()); n != 51 {
			t.Errorf("%d status messages, want the birth and 50", n)
		}
	})
}

func TestHealthIsToldWhenItChanges(t *testing.T) {
	var mu sync.Mutex
	var conditions []condition.Condition
	set := func(c ...condition.Condition) {
		mu.Lock()
		defer mu.Unlock()
		conditions = c
	}
	bubble(t, func(_ *Config, o *Options) {
		o.Health = func() []condition.Condition {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(conditions)
		}
	}, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(time.Minute)
		set(condition.Condition{Code: "disk_full", Severity: condition.Alarm, Subject: "queue", Text: "the disk is full",
			Since: noon})
		time.Sleep(time.Minute)
		for i := range 10 { // other words alone are no news, until they are old
			set(condition.Condition{Code: "disk_full", Severity: condition.Alarm, Subject: "queue",
				Text: fmt.Sprintf("the disk is full, %d times", i), Since: noon})
			time.Sleep(time.Minute)
		}
		if diff := cmp.Diff([]string{"online", "health"}, r.types()); diff != "" {
			t.Fatalf("status while a text changes (-want +got):\n%s", diff)
		}
		time.Sleep(5 * time.Minute)
		if got := r.statuses(); len(got) != 3 || !strings.Contains(fmt.Sprint(got[2]["conditions"]), "9 times") {
			t.Fatalf("the newest text is not told: %v", got)
		}
		set()
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"online", "health", "health", "health"}, r.types()); diff != "" {
			t.Fatalf("status (-want +got):\n%s", diff)
		}
		all := r.statuses()
		want := []any{map[string]any{"code": "disk_full", "severity": "alarm", "subject": "queue", "text": "the disk is full",
			"since": float64(noon.UnixMilli())}}
		if diff := cmp.Diff(want, all[1]["conditions"]); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]any{}, all[3]["conditions"]); diff != "" {
			t.Errorf("health afterwards (-want +got):\n%s", diff)
		}
	})
}

func TestBirthTellsOfTheLastStop(t *testing.T) {
	state := &memoryState{}
	for _, want := range []any{nil, "unclean", "clean"} {
		bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
			r.start()
			<-r.links
			synctest.Wait()
			if got := r.statuses()[0]["last_stop"]; got != want {
				t.Errorf("last stop %v, want %v", got, want)
			}
			if want == "unclean" {
				time.Sleep(2 * uplink.ConnectPause)
			}
			r.cloud.Drop("")
			<-r.links
			synctest.Wait()
			all := r.statuses()
			if got := all[len(all)-1]["last_stop"]; got != nil {
				t.Errorf("the second birth says %v", got)
			}
			if want == "unclean" {
				time.Sleep(2 * uplink.ConnectPause)
			}
		})
	}
}

func TestStatusTopicOfACheck(t *testing.T) {
	for template, want := range map[string]string{"": "fieldbridge/press-1/status",
		"plant/{gateway}/state":  "plant/press-1/state",
		"{label.site}/{gateway}": "brno/press-1"} {
		if got := StatusTopic(&Config{StatusTopic: template}, "press-1", map[string]string{"site": "brno"}); got != want {
			t.Errorf("%q: got %s", template, got)
		}
	}
}
