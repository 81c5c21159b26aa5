package gateway

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"fieldbridge/gateway/control"
)

// What the dashboard and the alerts of deploy/ ask for is in /metrics of a gateway,
// with the labels that they name.
func TestDeployedMetricsAreThere(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	g := r.start(t, r.cloud.Addr(), r.device)
	// The certificates are known, and a request has failed.
	wait(t, "a batch is acknowledged", func() bool { return g.Status().Queue.Ledger.Acked.Batches > 0 })
	page, err := control.Get(t.Context(), g.dir, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	alerts, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	text, err := os.ReadFile("../deploy/grafana/fieldbridge.json")
	if err == nil {
		err = json.Unmarshal(text, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?s)alert: (\w+)\n\s+expr: ([^\n]+)(.*?)action:`).
		FindAllStringSubmatch(string(alerts), -1) {
		asked[m[1]] = []string{m[2], m[3]}
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked[p.Title+" "+target.LegendFormat] = []string{target.Expr, target.LegendFormat}
		}
	}
	for who, expr := range asked {
		checkAsked(t, who, expr[0], expr[1], string(page))
	}
	if len(asked) < 20 {
		t.Errorf("only %d expressions are seen", len(asked))
	}
}

var (
	metricAsked = regexp.MustCompile(`(fieldbridge_\w+)(?:\{([^}]*)\})?`)
	labelAsked  = regexp.MustCompile(`(\w+)="([^"]*)"`)
	labelShown  = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?(\w+) ?\}\}`)
)

// checkAsked checks one expression, and the labels that its text shows.
func checkAsked(t *testing.T, who, expr, text, page string) {
	t.Helper()
	for _, m := range metricAsked.FindAllStringSubmatch(expr, -1) {
		help := regexp.MustCompile(`(?m)^# HELP ` + m[1] + ` `)
		if !help.MatchString(page) {
			// One that comes with the first failure is in the manual only.
			manual, err := os.ReadFile("../docs/operations.md")
			if err != nil || !strings.Contains(string(manual), "`"+m[1]+"`") {
				t.Errorf("%s: no metric %s", who, m[1])
			}
			continue
		}
		for _, label := range labelAsked.FindAllStringSubmatch(m[2], -1) {
			shown := regexp.MustCompile(`(?m)^` + m[1] + `\{[^}]*` + label[1] + `="` + regexp.QuoteMeta(label[2]) + `"`)
			if !shown.MatchString(page) {
				t.Errorf("%s: no %s with %s", who, m[1], label[0])
			}
		}
		for _, label := range labelShown.FindAllStringSubmatch(text, -1) {
			if label[1] != "instance" && !regexp.MustCompile(`(?m)^`+m[1]+`\{[^}]*`+label[1]+`="`).MatchString(page) {
				t.Errorf("%s: %s has no label %s", who, m[1], label[1])
			}
		}
	}
}
