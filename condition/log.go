package condition

import (
	"context"
	"log/slog"
	"time"
)

// logEvery is how often [Follow] looks.
const logEvery = 5 * time.Second

// Follow calls each of changed with a condition of now when it begins, and with
// ended when it has ended, until ctx ends. What comes and goes between two looks,
// 5 s apart, is not told.
func Follow(ctx context.Context, now func() []Condition, changed ...func(c Condition, ended bool)) {
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	tell := func(c Condition, ended bool) {
		for _, f := range changed {
			f(c, ended)
		}
	}
	type id struct{ code, subject string }
	known := make(map[id]Condition)
	for {
		here := make(map[id]bool)
		for _, c := range now() {
			key := id{c.Code, c.Subject}
			here[key] = true
			if _, ok := known[key]; !ok {
				known[key] = c
				tell(c, false)
			}
		}
		for key, c := range known {
			if !here[key] {
				delete(known, key)
				tell(c, true)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Log returns what logs a condition for [Follow].
func Log(log *slog.Logger) func(c Condition, ended bool) {
	return func(c Condition, ended bool) {
		if ended {
			log.Info("condition ends", "code", c.Code, "subject", c.Subject, "after", time.Since(c.Since).Round(time.Second))
			return
		}
		log.Log(context.Background(), level(c.Severity), "condition begins", "code", c.Code, "subject", c.Subject,
			"text", c.Text)
	}
}

func level(s Severity) slog.Level {
	if s == Alarm {
		return slog.LevelError
	}
	return slog.LevelWarn
}
