package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// weatherDir makes the test binary a gateway that is killed in some weather.
const (
	weatherDir  = "FIELDBRIDGE_WEATHER_DIR"
	weatherName = "FIELDBRIDGE_WEATHER"
)

// weathers are what a gateway may have to bear; each is with a journal, too.
var weathers = []string{"fair", "oldest", "newest", "thin", "small"}

// weatherConfig returns the settings of a weather in a folder that the queue and its journal
// lie below.
func weatherConfig(base, weather string) terms.Config {
	c := killConfig(filepath.Join(base, "q"))
	c.SegmentSize, c.MinFree = 96<<10, 0
	name, journal := strings.CutSuffix(weather, " journal")
	if journal {
		c.Journal = filepath.Join(base, "j")
	}
	switch name {
	case "oldest", "newest", "thin":
		c.MaxSize = 1<<20 + setting.Size(disk.Size(filepath.Join(string(c.Dir), "acks")))
		if name == "newest" {
			c.WhenFull = terms.DropNewest
		}
	case "small":
		c.Memory = 128 << 10
	}
	return c
}

// allThin lets every point be thinned, so that of most batches nothing is left.
type allThin struct{}

func (allThin) Levels() int { return 1 }

func (allThin) Thins(string) map[string]*bridge.Thin {
	rules := map[string]*bridge.Thin{}
	for _, name := range append([]string{"run", "seq", "noise"}, vNames...) {
		rules[name] = &bridge.Thin{To: []time.Duration{time.Minute}, Keep: bridge.Statistics}
	}
	return rules
}

// TestWeatherChild is that gateway. Everything is done to its queue that may be done to one.
func TestWeatherChild(t *testing.T) {
	base := os.Getenv(weatherDir)
	if base == "" {
		t.Skip("only as a child of TestKillInAllWeathers")
	}
	weather := os.Getenv(weatherName)
	q, err := Open(weatherConfig(base, weather), quiet)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("run %s %s\n", q.Run(), weather)
	runs := q.Runs()
	record, err := json.Marshal(runs[len(runs)-1:])
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("record %s\n", record)
	smallBlocks(t, q, 2000)
	if strings.HasPrefix(weather, "thin") {
		q.ThinBy(allThin{})
	}
	go weatherCloud(q)
	for seq := uint64(1); ; seq++ {
		var safe func(error) // some have a sensor that waits
		if seq%3 == 0 {
			safe = func(error) {}
		}
		b := content(q.Run(), seq)
		b.Readings = append(b.Readings, noiseOf(int(seq), 12).Readings...)
		for i := range b.Readings[3:] {
			b.Readings[3+i].Point = vNames[i]
		}
		q.Append(b, safe)
		if seq%50 == 0 && (seq%2000 > 500 || !strings.HasPrefix(weather, "small")) {
			time.Sleep(time.Millisecond)
		}
		if l := q.Ledger(); !l.Balanced() {
			fmt.Printf("bad ledger: %+v\n", l)
		}
	}
}

// weatherCloud takes what it is given, refuses some, and comes and goes; in between the
// owner of the gateway does what he may.
func weatherCloud(q *Queue) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(30))*time.Millisecond)
		q.Online()
		for _, which := range []bridge.Lane{bridge.Fresh, bridge.Backlog, bridge.Fresh} {
			for range 1 + rand.IntN(20) {
				entries, err := q.Next(ctx, which, 10)
				if err != nil {
					break
				}
				for i := range entries {
					if entries[i].Seq%23 == 0 {
						q.Bury("no", entries[i].Position)
						continue
					}
					fmt.Printf("cloud %s %d\n", entries[i].Run, entries[i].Seq)
					q.Ack(entries[i].Position)
				}
			}
		}
		cancel()
		for _, s := range q.Tombstones() {
			text, _ := json.Marshal(s)
			fmt.Printf("stone %s\n", text)
			if rand.IntN(2) == 0 {
				q.AckTombstones(s.ID)
			}
		}
		q.Offline()
		ctx, cancel = context.WithTimeout(context.Background(), time.Second)
		switch rand.IntN(8) {
		case 0:
			_, _ = q.RetryDead(ctx)
		case 1:
			_, _ = q.PurgeDead(ctx)
		case 2:
			_ = q.Commit(ctx)
		case 3:
			if x, err := q.Entries(ctx, folder.Filter{}, func([]bridge.Entry) error { return nil }); err == nil {
				_, _ = q.Forget(ctx, folder.Filter{}, x)
			}
		case 4:
			if rand.IntN(4) == 0 {
				_, _ = q.Purge(ctx)
			}
		}
		cancel()
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	}
}

// TestKillInAllWeathers kills gateways at random instants, each life of one queue in other
// weather: with a journal or without, with a full disk by each policy, thinning, with little
// memory; batches are refused, retried, purged and forgotten meanwhile. By what the cloud was
// told alone nothing is missing without a name, nothing is called damaged, and what lives with a
// journal have read is not called uncommitted.
func TestKillInAllWeathers(t *testing.T) {
	t.Parallel()
	base := tempDir(t)
	cloud, lives := map[string]bool{}, map[string]string{}
	var order []string
	judge := audit{t: t}
	var stones []bridge.Tombstone
	told := func(s bridge.Tombstone) {
		stones = append(stones, s)
		judge.message(map[string]any{"run": "any", "type": "lost", "at": 1, "lost": s})
	}
	var all []string
	for _, w := range weathers {
		all = append(all, w, w+" journal")
	}
	for i := range soak(len(all)) {
		if i%len(all) == 0 {
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		weather := all[i%len(all)]
		killChild(t, "TestWeatherChild", []string{weatherDir + "=" + base, weatherName + "=" + weather}, func(line string) {
			kind, rest, _ := strings.Cut(line, " ")
			switch kind {
			case "cloud":
				cloud[rest] = true
			case "run":
				run, weather, _ := strings.Cut(rest, " ")
				lives[run] = weather
				order = append(order, run)
			case "record":
				judge.message(map[string]any{"run": "any", "type": "online", "at": 1, "connection": 1,
					"runs": json.RawMessage(rest)})
			case "stone":
				var s bridge.Tombstone
				if err := json.Unmarshal([]byte(rest), &s); err != nil {
					t.Errorf("%s: %v", line, err)
				}
				told(s)
			default:
				t.Error(line)
			}
		})
	}
	q := openQueue(t, weatherConfig(base, "fair journal"))
	q.Online()
	for _, e := range drainSlowly(t, q) {
		cloud[fmt.Sprintf("%s %d", e.Run, e.Seq)] = true
	}
	judge.message(map[string]any{"run": q.Run(), "type": "online", "at": 1, "connection": 1, "runs": q.Runs()})
	for _, s := range q.Tombstones() {
		told(s)
	}
	judge.named(cloud)
	judge.kept()
	if l := q.Ledger(); !l.Balanced() || l.Damaged != (bridge.Count{}) {
		t.Errorf("ledger %+v", l)
	}
	wrong, causes := 0, map[string]int{}
	for _, s := range stones {
		// The journal may be full, and does not have what was refused and is not yet named.
		kept := strings.HasSuffix(lives[s.Run], " journal") && lives[s.Run] != "small journal" &&
			lives[s.Run] != "newest journal"
		if s.Cause == books.Damaged || s.Cause == books.Uncommitted && kept {
			t.Errorf("run %s, %s: tombstone %+v", s.Run, lives[s.Run], s)
		}
		for seq := s.First; seq <= s.Last; seq++ {
			if causes[s.Cause]++; s.Cause == books.Uncommitted && cloud[fmt.Sprintf("%s %d", s.Run, seq)] {
				wrong++
			}
		}
	}
	if t.Failed() {
		for _, run := range order {
			t.Logf("run %s: %s", run, lives[run])
			for _, s := range stones {
				if s.Run == run {
					t.Logf("  %d to %d: %d %s", s.First, s.Last, s.Count.Batches, s.Cause)
				}
			}
		}
	}
	if len(lives) == 0 || len(cloud) == 0 {
		t.Error("nothing was tested")
	}
	t.Logf("%d lives, %d batches arrived; named %v; %d were called uncommitted and arrived", len(lives), len(cloud),
		causes, wrong)
}
