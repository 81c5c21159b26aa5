package condition

import (
	"context"
	"log/slog"
	"time"
)

// logEvery is how often [Log] looks.
const logEvery = 5 * time.Second

// Log logs each condition of now when it begins and when it ends, until ctx ends.
// What comes and goes between two looks, 5 s apart, is not logged.
func Log(ctx context.Context, now func() []Condition, log *slog.Logger) {
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	type id struct{ code, subject string }
	known := make(map[id]Condition)
	for {
		here := make(map[id]bool)
		for _, c := range now() {
			key := id{c.Code, c.Subject}
			here[key] = true
			if _, ok := known[key]; !ok {
				known[key] = c
				log.Log(ctx, level(c.Severity), "condition begins", "code", c.Code, "subject", c.Subject, "text", c.Text)
			}
		}
		for key, c := range known {
			if !here[key] {
				delete(known, key)
				log.Info("condition ends", "code", c.Code, "subject", c.Subject, "after", time.Since(c.Since).Round(time.Second))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func level(s Severity) slog.Level {
	if s == Alarm {
		return slog.LevelError
	}
	return slog.LevelWarn
}
