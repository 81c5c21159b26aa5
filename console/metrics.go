package console

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/order"
)

// serveMetrics writes the Prometheus text format, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats).
func (v *View) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	var samples []bridge.Metric
	for _, o := range v.Metrics {
		o.Observe(func(m bridge.Metric) { samples = append(samples, m) })
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(exposition(samples))
}

// exposition writes samples; those of one name must stand together, so they
// are sorted by it.
func exposition(samples []bridge.Metric) []byte {
	order.Stably(samples, func(a, b bridge.Metric) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	for i, m := range samples {
		if i == 0 || samples[i-1].Name != m.Name {
			b.WriteString("# HELP " + m.Name + " " + helpEscaper.Replace(m.Help) + "\n")
			b.WriteString("# TYPE " + m.Name + " " + string(m.Kind) + "\n")
		}
		b.WriteString(m.Name)
		writeLabels(&b, m.Labels)
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(m.Value, 'g', -1, 64))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

var (
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func writeLabels(b *bytes.Buffer, labels []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(labels[i] + `="` + labelEscaper.Replace(labels[i+1]) + `"`)
	}
	if len(labels) >= 2 {
		b.WriteByte('}')
	}
}
