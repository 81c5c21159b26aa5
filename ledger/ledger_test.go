package ledger

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// read returns the report of lines.
func read(t *testing.T, partial bool, lines ...string) Report {
	t.Helper()
	l := Ledger{Partial: partial}
	if err := l.Read(t.Context(), "test", strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	return l.Report()
}

// rows returns a message with batches of run r that say the same but for seq.
func rows(r string, seqs ...uint64) string {
	var batches []string
	for _, seq := range seqs {
		batches = append(batches, fmt.Sprintf(`{"seq":%d,"device":"boiler","at":%d,"points":{"t":%d}}`, seq, 1000*seq, seq%7))
	}
	return fmt.Sprintf(`{"v":1,"gateway":"g","run":%q,"batches":[%s]}`, r, strings.Join(batches, ","))
}

func lost(r string, first, last uint64, cause string) string {
	return fmt.Sprintf(`{"v":1,"gateway":"g","run":"later","type":"lost","at":1,"lost":{"run":%q,"first":%d,"last":%d,`+
		`"count":{"batches":1},"cause":%q}}`, r, first, last, cause)
}

func birth(r, previous string, last uint64) string {
	return fmt.Sprintf(`{"v":1,"gateway":"g","run":%q,"type":"online","at":1,"connection":1,"runs":[{"run":%q,`+
		`"previous":%q,"previous_last":%d,"started":1}]}`, r, r, previous, last)
}

func TestGaps(t *testing.T) {
	unnamed := func(first, last uint64) Gap { return Gap{First: first, Last: last, Kind: Unnamed} }
	named := func(first, last uint64, cause string) Gap { return Gap{first, last, Named, cause} }
	for _, tt := range []struct {
		name    string
		lines   []string
		partial bool
		gaps    []Gap // of run a
		kept    bool
	}{
		{name: "nothing missing", lines: []string{rows("a", 1, 2, 3)}, kept: true},
		{name: "out of order, over chunks", lines: []string{rows("a", 257, 256, 255), rows("a", seqs(1, 254)...)},
			kept: true},
		{name: "in the middle", lines: []string{rows("a", 1, 4)}, gaps: []Gap{unnamed(2, 3)}},
		{name: "at the begin", lines: []string{rows("a", 3)}, gaps: []Gap{unnamed(1, 2)}},
		{name: "at the begin of a log of a part", lines: []string{rows("a", 3, 5)}, partial: true,
			gaps: []Gap{{First: 1, Last: 2, Kind: BeforeLog}, unnamed(4, 4)}},
		{name: "at the begin, which the log has", lines: []string{birth("a", "", 0), rows("a", 3)}, partial: true,
			gaps: []Gap{unnamed(1, 2)}},
		{name: "far away", lines: []string{rows("a", 1, 1<<40)}, gaps: []Gap{unnamed(2, 1<<40-1)}},
		{name: "named", lines: []string{rows("a", 1, 9), lost("a", 2, 8, "purged")}, gaps: []Gap{named(2, 8, "purged")},
			kept: true},
		{name: "named before it is seen", lines: []string{lost("a", 2, 8, "purged"), rows("a", 1, 9)},
			gaps: []Gap{named(2, 8, "purged")}, kept: true},
		{name: "named in part", lines: []string{rows("a", 1, 9), lost("a", 3, 4, "purged"), lost("a", 7, 20, "damaged")},
			gaps: []Gap{unnamed(2, 2), named(3, 4, "purged"), unnamed(5, 6), named(7, 8, "damaged")}},
		{name: "overlapping tombstones",
			lines: []string{rows("a", 1, 9), lost("a", 2, 6, "x"), lost("a", 4, 8, "y"), lost("a", 4, 8, "y")},
			gaps:  []Gap{named(2, 6, "x"), named(7, 8, "y")}, kept: true},
		{name: "tombstone of another run", lines: []string{rows("a", 1, 3), lost("b", 2, 2, "purged")},
			gaps: []Gap{unnamed(2, 2)}},
		{name: "open tombstone", lines: []string{rows("a", 1, 9), lost("a", 5, 0, "damaged"), birth("b", "a", 12)},
			gaps: []Gap{unnamed(2, 4), named(5, 8, "damaged"), named(10, 12, "damaged")}},
		{name: "dead, and what became of some",
			lines: []string{rows("a", 1, 9), lost("a", 2, 8, Dead), lost("a", 4, 4, "retried"), lost("a", 6, 8, "purged")},
			gaps:  []Gap{named(2, 3, Dead), named(4, 4, "retried"), named(5, 5, Dead), named(6, 8, "purged")}, kept: true},
		{name: "dead, at the end", lines: []string{rows("a", 1), birth("b", "a", 3), lost("a", 2, 2, Dead)},
			gaps: []Gap{named(2, 2, Dead), unnamed(3, 3)}},
		{name: "uncommitted", lines: []string{rows("a", 1, 2, 3, 6), birth("b", "a", 3)},
			gaps: []Gap{{First: 4, Last: 5, Kind: Uncommitted}}, kept: true},
		{name: "across the bound", lines: []string{rows("a", 1, 8), birth("b", "a", 4)},
			gaps: []Gap{unnamed(2, 4), {First: 5, Last: 7, Kind: Uncommitted}}},
		{name: "the end is missing", lines: []string{rows("a", 1, 2), birth("b", "a", 5)}, gaps: []Gap{unnamed(3, 5)}},
		{name: "nothing of it arrived", lines: []string{birth("b", "a", 2)}, gaps: []Gap{unnamed(1, 2)}},
		{name: "nothing of it is in this part", lines: []string{birth("b", "a", 2)}, partial: true,
			gaps: []Gap{{First: 1, Last: 2, Kind: BeforeLog}}, kept: true},
		{name: "an old copy of the folder", lines: []string{rows("a", 1, 2, 3), birth("b", "a", 5), birth("c", "a", 3)},
			gaps: []Gap{unnamed(4, 5)}},
		{name: "two contents", lines: []string{rows("a", 1, 2), strings.Replace(rows("a", 2), `"t":2`, `"t":3`, 1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := read(t, tt.partial, tt.lines...)
			if r.Kept != tt.kept || r.Unread > 0 {
				t.Errorf("%+v", r)
			}
			i := slices.IndexFunc(r.Runs, func(r Run) bool { return r.Run == "a" })
			if i < 0 {
				t.Fatalf("no run a: %+v", r)
			}
			if d := cmp.Diff(tt.gaps, r.Runs[i].Gaps, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestBacklogOfAnotherGateway: a gateway that was renamed, or that got another's queue,
// delivers what that one measured, and tells of its runs and tombstones.
func TestBacklogOfAnotherGateway(t *testing.T) {
	of := func(line string) string { return strings.Replace(line, `"gateway":"g"`, `"gateway":"old"`, 1) }
	told := func(line, where, more string) string { return strings.Replace(line, where, where+more, 1) }
	next := told(birth("b", "a", 4), `"previous":"a",`, `"previous_gateway":"old",`)
	next = strings.Replace(next, `"runs":[`, `"runs":[{"run":"a","gateway":"old","started":1},`, 1)
	l := read(t, false, of(rows("a", 1, 2)), next, rows("b", 1, 2),
		told(lost("a", 3, 4, "purged"), `"lost":{`, `"gateway":"old",`))
	if !l.Kept || len(l.Runs) != 2 || l.Runs[1].Gateway != "old" || l.Runs[1].Missing()[Named] != 2 || !l.Runs[1].Began {
		t.Errorf("the ledger is not exact: %+v", l)
	}
	// As it was: the same without a word of whose it is.
	if l := read(t, false, of(rows("a", 1, 2)), birth("b", "a", 4), rows("b", 1)); l.Kept {
		t.Errorf("a run of one gateway is taken for that of another: %+v", l)
	}
}

func seqs(first, last uint64) (all []uint64) {
	for s := first; s <= last; s++ {
		all = append(all, s)
	}
	return all
}

// The same batches in each format, and as each tool prints them.
var (
	asRows = `{"v":1,"gateway":"g","run":"a","batches":[{"seq":1,"device":"b","at":100,"points":{"x":1.5,"s":"q\"z",` +
		`"f":true},"bad":{"y":"timeout"}},` +
		`{"seq":2,"device":"b","at":90,"points":{"x":2,"f":true}},{"seq":4,"device":"b","at":190,"bad":{"y":"exception_2"}}]}`
	asColumns = `{"v":1,"gateway":"g","run":"a","backlog":true,"labels":{"l":"m"},"devices":[{"device":"b","seq":[2,` +
		`-1,3],"at":[90,10,90],` +
		`"points":{"f":[true,true,null],"s":[null,"q\"z"],"x":[2,1.5,null]},"bad":{"y":{"1":"timeout","2":"exception_2"}}}]}`
	asFlat = []string{
		`{"v":1,"gateway":"g","timestamp":100,"device":"b","run":"a","seq":1,"bad":{"y":"timeout"},"f":true,` +
			`"x":1.5,"s":"q\"z"}`,
		`{"v":1,"gateway":"g","timestamp":90,"device":"b","run":"a","seq":2,"backlog":true,"f":true,"x":2}`,
		`{"v":1,"gateway":"g","timestamp":190,"device":"b","run":"a","seq":4,"clock":"unsynced","labels":{},` +
			`"bad":{"y":"exception_2"}}`,
	}
)

func TestFormatsSayTheSame(t *testing.T) {
	quoted, err := json.Marshal(asColumns)
	if err != nil {
		t.Fatal(err)
	}
	lines := append([]string{asRows, "plant/g " + asColumns, `{"topic":"plant/g","payload":` + asRows + `}`,
		`{"tst":"2026-11-23","topic":"plant/g","qos":1,"payload":` + string(quoted) + `}`, ""}, asFlat...)
	r := read(t, false, lines...)
	want := Report{Messages: 7, Runs: []Run{{Gateway: "g", Run: "a", Batches: 3, Duplicates: 12, First: 1, Last: 4,
		Gaps: []Gap{{First: 3, Last: 3, Kind: Unnamed}}}}}
	if d := cmp.Diff(want, r, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestEachDifferenceIsAConflict(t *testing.T) {
	for _, change := range [][2]string{{`"x":1.5`, `"x":1.25`}, {`"b","at":100`, `"c","at":100`}, {`"at":100`, `"at":101`},
		{`"f":true},"bad"`, `"f":false},"bad"`},
		{`timeout`, `refused`}, {`"s":"q\"z",`, ``}, {`"points":{"x":1.5`, `"points":{"y":"timeout","x":1.5`},
		{`"s":`, `"r":`}} {
		other := strings.Replace(asRows, change[0], change[1], 1)
		r := read(t, false, asRows, other)
		if other == asRows || len(r.Runs) != 1 || !slices.Equal(r.Runs[0].Conflicts, []uint64{1}) ||
			r.Runs[0].Conflicted != 1 || r.Kept {
			t.Errorf("%s instead of %s: %+v", change[1], change[0], r)
		}
	}
}

func TestLinesThatAreNoMessages(t *testing.T) {
	r := read(t, false, rows("a", 1), "$aws/things/g/shadow {\"state\":{}}", "a/topic 71.5", "{}", `{"v":"one"}`,
		`{"v":1,"gateway":"g","run":"a","type":"offline","at":1}`,
		"nonsense", `{"v":1,`, `{"v":2,"gateway":"g","run":"a","batches":[]}`,
		`{"v":1,"gateway":"g","run":"a","batches":[{"seq":0}]}`,
		`{"v":1,"gateway":"g","run":"a","devices":[{"device":"d","seq":[1],"at":[1,2]}]}`,
		`{"v":1,"gateway":"g","run":"a","devices":[{"device":"d","seq":[1,-1],"at":[1,2]}]}`,
		`{"v":1,"gateway":"g","run":"a","devices":[{"device":"d","seq":[1],"at":[1],"bad":{"x":{"1":"timeout"}}}]}`,
		`{"v":1,"gateway":"g","run":"a","type":"lost","lost":{"run":"a","first":9,"last":3}}`,
		strings.Repeat("x", maxLine+10), rows("a", 2))
	if r.Others != 4 || r.Unread != 9 || r.Status != 2 {
		t.Errorf("%+v", r)
	}
	var at []int
	for _, u := range r.Unreadable {
		at = append(at, u.Line)
	}
	if d := cmp.Diff([]int{7, 8, 9, 10, 11, 12, 13, 14, 15}, at); d != "" {
		t.Errorf("%s\n%+v", d, r.Unreadable)
	}
	if len(r.Runs) != 1 || r.Runs[0].Last != 2 {
		t.Errorf("what follows was not read: %+v", r.Runs)
	}
}

// A model that remembers everything says the same.
func TestAgainstModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 40
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		rounds = 200
	}
	for range rounds {
		var l Ledger
		have := make(map[uint64]bool)
		most, duplicates := uint64(0), uint64(0)
		for range random.IntN(600) {
			seq := 1 + random.Uint64N(700)
			if have[seq] {
				duplicates++
			}
			have[seq] = true
			most = max(most, seq)
			if err := l.Add([]byte(rows("a", seq))); err != nil {
				t.Fatal(err)
			}
		}
		if most == 0 {
			continue
		}
		run := l.Report().Runs[0]
		missing := make(map[uint64]bool)
		for _, g := range run.Gaps {
			for s := g.First; s <= g.Last; s++ {
				missing[s] = true
			}
		}
		if int(run.Batches) != len(have) || run.Duplicates != duplicates || run.Last != most ||
			uint64(len(have)+len(missing)) != most {
			t.Fatalf("%d of %d, %d twice: %+v", len(have), most, duplicates, run)
		}
		for s := range missing {
			if have[s] {
				t.Fatalf("seq %d is there and missing", s)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, line := range append([]string{asRows, "plant/g " + asColumns, lost("a", 2, 0, "damaged"), birth("b", "a", 3),
		`{"payload":"{}"}`,
		`{"payload":null}`, `{"v":1,"gateway":"g","run":"a","seq":4611686018427387905,"timestamp":1}`, rows("a", 1, 1<<62)},
		asFlat...) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		report := func() Report {
			var l Ledger
			if err := l.Read(t.Context(), "fuzz", strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			return l.Report()
		}
		r := report()
		for _, run := range r.Runs {
			next, missing := uint64(1), uint64(0)
			for _, g := range run.Gaps {
				if g.First < next || g.Last < g.First {
					t.Fatalf("gaps of %+v", run)
				}
				next, missing = g.Last+1, missing+g.Batches()
			}
			if end := max(run.Last, run.DurableLast); run.Batches+missing != end {
				t.Fatalf("%d batches, %d missing, end %d", run.Batches, missing, end)
			}
		}
		if d := cmp.Diff(r, report()); d != "" {
			t.Error(d)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var all []string
	for i := range uint64(100) {
		all = append(all, "plant/g "+rows("a", seqs(50*i+1, 50*i+50)...))
	}
	text := strings.Join(all, "\n")
	b.ReportAllocs()
	for b.Loop() {
		var l Ledger
		if err := l.Read(b.Context(), "b", strings.NewReader(text)); err != nil || !l.Report().Kept {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*5000/b.Elapsed().Seconds(), "batches/s")
}

// TestThinned: a batch that arrived whole, and again as what was left of it, is no conflict
// where a tombstone says that there are aggregates.
func TestThinned(t *testing.T) {
	for cause, kept := range map[string]bool{"thinned": true, "dropped_full": false} {
		var l Ledger
		for _, m := range []string{
			`{"v":1,"gateway":"g","run":"r","batches":[{"seq":1,"device":"d","at":1,"points":{"t":1}},` +
				`{"seq":2,"device":"d","at":2,"points":{"t":2}}]}`,
			`{"v":1,"gateway":"g","run":"r","batches":[{"seq":2,"device":"d","at":2,"points":{"t_n":2,"t_mean":1.5}}]}`,
			`{"v":1,"gateway":"g","run":"r","batches":[{"seq":9,"device":"d","at":2,"points":{"t_n":6,"t_mean":1.5}}]}`,
			`{"v":1,"gateway":"g","run":"r","type":"lost","at":3,"lost":{"run":"r","first":1,"last":9,` +
				`"count":{"batches":7,"readings":8},"cause":"` + cause + `"}}`,
		} {
			if err := l.Add([]byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		if r := l.Report(); r.Kept != kept || r.Runs[0].Missing()[Named] != 6 {
			t.Errorf("%s: %+v", cause, r)
		}
	}
}
