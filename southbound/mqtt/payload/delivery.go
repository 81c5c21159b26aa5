package payload

import (
	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// newDelivery makes a delivery of what a configuration says about a point; nil
// is what it does not say. It returns nil for one that delivers each reading.
func newDelivery(
	onChange *bool, deadband *setting.Deadband, heartbeat *setting.Duration, report *setting.Report,
) *bridge.Delivery {
	d := &bridge.Delivery{OnChange: onChange != nil && *onChange}
	if deadband != nil {
		d.Deadband, d.Percent = deadband.Value, deadband.Percent
	}
	if heartbeat != nil {
		d.Heartbeat = heartbeat.D()
	}
	if report != nil {
		d.Report = &bridge.Report{Every: report.Every.D()}
		for _, s := range report.As {
			d.Report.As = append(d.Report.As, bridge.Statistic(s))
		}
	}
	if d.Plain() {
		return nil
	}
	return d
}

// newThin makes what thins a point of what a configuration says; nil for nothing.
func newThin(t *setting.Thin) *bridge.Thin {
	if t == nil {
		return nil
	}
	return bridge.NewThin(t.Spans(), t.Kept())
}

// thinLike lets a point without a thin of its own have that of its sensor.
func (v *Value) thinLike(point string, t *setting.Thin) {
	if v.Thin == nil && v.Report == nil {
		v.Thin = t.Of(point, v.Unit)
	}
}
