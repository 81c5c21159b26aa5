package awsiot

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/bridge/setting"
)

func emissions(devices, points int, every time.Duration) []Emission {
	var all []Emission
	for d := range devices {
		e := Emission{Device: fmt.Sprint("device-", d), Every: every}
		for p := range points {
			e.Readings = append(e.Readings, reading(fmt.Sprint("register_", p), Typical("uint16", false)))
		}
		all = append(all, e)
	}
	return all
}

// TestForecastIsWhatIsMetered runs the real forwarder for ten minutes and
// compares what the stand-in meters with the forecast.
func TestForecastIsWhatIsMetered(t *testing.T) {
	for _, tt := range []struct {
		format          Format
		topic           string
		linger          time.Duration
		devices, points int
		every           time.Duration
	}{
		// A linger of just the interval would make it chance whether the next
		// batch comes in time for the message; the forecast takes it for late.
		{Rows, "plant/{gateway}", 900 * time.Millisecond, 10, 20, time.Second},
		{Rows, "plant/{gateway}/{device}", 900 * time.Millisecond, 10, 20, time.Second},
		{Columns, "plant/{gateway}/{device}", 20 * time.Second, 10, 20, time.Second},
		{Columns, "plant/{gateway}", time.Second, 3, 400, 5 * time.Second},
		{Flat, "plant/{gateway}", time.Second, 10, 20, time.Second},
	} {
		t.Run(fmt.Sprintf("%s %s %dx%d", tt.format, tt.topic, tt.devices, tt.points), func(t *testing.T) {
			bubble(t, func(cfg *Config, _ *Options) {
				cfg.Format, cfg.Topic, cfg.Linger = tt.format, tt.topic, setting.Duration(tt.linger)
			}, func(r *rig) {
				all := emissions(tt.devices, tt.points, tt.every)
				want, err := r.cfg.Forecast("gateway-1", nil, all)
				if err != nil {
					t.Fatal(err)
				}
				queue := bridgetest.NewQueue()
				forwarder := bridge.NewForwarder(queue, r.sink.Format(), bridge.ForwardConfig{Linger: tt.linger, LiveShare: 0.8}, slog.New(slog.DiscardHandler))
				collector := bridge.NewCollector(queue, r.sink.Format(), new(bridge.Catalogue), func() bool { return true }, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan struct{})
				go func() { defer close(ended); _ = r.sink.Run(ctx, forwarder.Serve) }()
				time.Sleep(time.Second)
				synctest.Wait()
				before := r.cloud.Counts()
				const span = 2 * time.Minute
				for range int(span / tt.every) {
					for _, e := range all {
						collector.Emit(bridge.Batch{Device: e.Device, At: time.Now(), Readings: append([]bridge.Reading(nil), e.Readings...)}, nil)
					}
					time.Sleep(tt.every)
				}
				time.Sleep(tt.linger)
				synctest.Wait()
				after := r.cloud.Counts()
				cancel()
				<-ended
				compare(t, "units", want.Units*span.Seconds(), float64(after.Units-before.Units))
				compare(t, "bytes", want.Bytes*span.Seconds(), float64(after.Bytes-before.Bytes))
				compare(t, "messages", want.Messages*span.Seconds(), float64(after.Published-before.Published))
			})
		})
	}
}

func compare(t *testing.T, what string, forecast, metered float64) {
	t.Helper()
	off := math.Abs(forecast-metered) / metered
	t.Logf("%s: forecast %.0f, metered %.0f, %.1f %% off", what, forecast, metered, off*100)
	if off > 0.05 {
		t.Errorf("%s: forecast %.0f, metered %.0f", what, forecast, metered)
	}
}

func TestForecastFindsTooMuch(t *testing.T) {
	c := validConfig()
	c.Topic = "plant/{device}"
	f, err := c.Forecast("g", nil, emissions(100, 1, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Problems(&c); len(p) != 1 || p[0].Path[0] != "topic" {
		t.Errorf("100 topics a second: %+v, %+v", f, p)
	}
	c.Topic = "plant"
	if f, err = c.Forecast("g", nil, emissions(100, 1, time.Second)); err != nil || len(f.Problems(&c)) > 0 {
		t.Errorf("100 devices on a topic: %+v, %v", f, err)
	}
	if f, err = c.Forecast("g", nil, emissions(100, 1000, time.Second)); err != nil || len(f.Problems(&c)) != 2 {
		t.Errorf("100,000 readings a second: %+v, %v", f.Problems(&c), err)
	}
	if f, err = c.Forecast("g", nil, nil); err != nil || f.UnitsPerMonth() != 0 || f.BytesPerReading() != 0 {
		t.Errorf("nothing: %+v, %v", f, err)
	}
}
