package page

import (
	"strings"
	"testing"
	"time"
)

// TestJobs: the job under way and the last one are a line each, in words that are true.
func TestJobs(t *testing.T) {
	under := Job{ID: "deploy-2", Operation: "config", Step: "download", Percent: 42, At: now.Add(-3 * time.Minute)}
	ended := Job{ID: "deploy-1", Operation: "config", Status: "FAILED", RolledBack: true, Why: "boiler.temp <is> bad",
		At: now.Add(-2 * time.Hour)}
	changed := func(j Job, f func(j *Job)) *Job { f(&j); return &j }
	for name, test := range map[string]struct {
		job, last       *Job
		english, german []string
	}{
		"none": {nil, nil, []string{"!<section id=\"jobs\""}, nil},
		"under way": {&under, nil, []string{"deploy-2", "step download, 42 %", "for 3 min"},
			[]string{"Aufträge", "Schritt download, 42 %", "seit 3 min"}},
		"begins": {changed(under, func(j *Job) { j.Step, j.Percent = "", 0 }), nil, []string{"it begins"}, nil},
		"a step": {changed(under, func(j *Job) { j.Step, j.Percent = "trial", 0 }), nil, []string{"step trial<"}, nil},
		"owed":   {changed(under, func(j *Job) { j.Owed = true }), nil, []string{"the cloud does not know it yet"}, nil},
		"both": {&under, &ended, []string{"deploy-2", "deploy-1", "has failed, what ran before runs again",
			"boiler.temp &lt;is&gt; bad", "2 h ago"}, []string{"ist gescheitert, es läuft wieder, was vorher lief"}},
		"failed": {nil, changed(ended, func(j *Job) { j.RolledBack = false }), []string{"has failed<"}, nil},
		"rejected": {nil, changed(ended, func(j *Job) { j.RolledBack, j.Status = false, "REJECTED" }),
			[]string{"was rejected"}, nil},
		"succeeded": {nil, changed(ended, func(j *Job) { j.RolledBack, j.Status, j.Why = false, "SUCCEEDED", "" }),
			[]string{"has succeeded", "!has failed"}, nil},
	} {
		for language, words := range map[Language][]string{English: test.english, German: test.german} {
			text := write(t, &State{Job: test.job, LastJob: test.last}, Ask{Language: language}, nil)
			for _, word := range words {
				if word, not := strings.CutPrefix(word, "!"); strings.Contains(text, word) == not {
					t.Errorf("%s: %q is there: %t", name, word, !not)
				}
			}
		}
	}
}
