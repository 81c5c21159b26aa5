package mqtt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"fieldbridge/bridge"
)

// rule is a sensor of the configuration, ready to use.
type rule struct {
	name      string
	config    Sensor
	filter    filter
	device    template
	point     template // of the single point, if the whole payload is its value
	single    *extract
	points    []extract // of a payload with several, sorted by name; none if all are taken
	decode    func(r *rule, m message) (result, fault)
	csv       bool
	sparkplug bool
	clock     *clock // nil if the time is that of arrival
	limit     int    // of devices
	expect    time.Duration
	faults    faultLog
}

// extract says how one point is read.
type extract struct {
	info                bridge.PointInfo
	path                string // GJSON
	column              int    // CSV, from 1
	typ                 typeInfo
	scaling             bridge.Scaling
	trueWhen, falseWhen []string
	numbers             map[string]int64 // of an enum, by name
}

// defaultMaxDevices is how many devices one rule may make unless it says
// otherwise.
const defaultMaxDevices = 1000

// compile makes a rule of a sensor. Validate reports the same errors with their
// keys.
func compile(name string, c Sensor) (*rule, error) {
	r := &rule{name: name, config: c, limit: cmp.Or(c.MaxDevices, defaultMaxDevices), expect: c.Expect.D()}
	var err error
	if r.filter, err = parseFilter(c.Topic); err != nil {
		return nil, fmt.Errorf("sensor %s: topic: %w", name, err)
	}
	if c.Format == formatSparkplug {
		r.sparkplug = true
		return r, nil
	}
	if r.device, err = parseTemplate(c.device(), &r.filter); err != nil {
		return nil, fmt.Errorf("sensor %s: device: %w", name, err)
	}
	if r.clock, err = newClock(c.Time); err != nil {
		return nil, fmt.Errorf("sensor %s: time: %w", name, err)
	}
	switch {
	case len(c.Points) == 0:
		return r, r.compileSingle(c)
	case c.Points.all():
		r.decode = (*rule).readAll
		return r, nil
	case c.Format == "csv":
		r.csv = true
	default:
		r.decode = (*rule).readJSON
	}
	for _, point := range slices.Sorted(maps.Keys(c.Points)) {
		p := c.Points[point]
		p.OnChange, p.Heartbeat = cmp.Or(p.OnChange, c.OnChange), cmp.Or(p.Heartbeat, c.Heartbeat)
		e, err := newExtract(point, p)
		if err != nil {
			return nil, fmt.Errorf("sensor %s: point %s: %w", name, point, err)
		}
		r.points = append(r.points, e)
	}
	return r, nil
}

func (r *rule) compileSingle(c Sensor) error {
	var err error
	if r.point, err = parseTemplate(c.point(), &r.filter); err != nil {
		return fmt.Errorf("sensor %s: point: %w", r.name, err)
	}
	e, err := newExtract("", Point{Value: c.Value})
	if err != nil {
		return fmt.Errorf("sensor %s: %w", r.name, err)
	}
	r.single = &e
	return nil
}

func newExtract(name string, p Point) (extract, error) {
	typ, ok := lookupType(p.typeName())
	if !ok {
		return extract{}, fmt.Errorf("%q is no type", p.Type)
	}
	e := extract{path: p.Path, column: p.Column, typ: typ, scaling: bridge.NewScaling(p.Scale, p.Offset), trueWhen: p.TrueWhen, falseWhen: p.FalseWhen}
	e.info = bridge.PointInfo{Name: name, Type: typ.name, Unit: p.Unit, Enum: p.Enum,
		Delivery: newDelivery(p.OnChange, p.Deadband, p.Heartbeat, p.Report)}
	if p.Enum != nil {
		e.numbers = make(map[string]int64, len(p.Enum))
		for n, word := range p.Enum {
			e.numbers[word] = n
		}
	}
	return e, nil
}

// typeName returns the type: what there are only integers or bools for needs
// none.
func (v *Value) typeName() string {
	switch {
	case v.Type != "":
		return v.Type
	case v.Enum != nil:
		return "int64"
	case v.TrueWhen != nil || v.FalseWhen != nil:
		return "bool"
	}
	return "float64"
}

// info returns what the catalogue is told about a point that was read.
func (r *rule) info(reading bridge.Reading) bridge.PointInfo {
	if r.single != nil {
		info := r.single.info
		info.Name = reading.Point
		return info
	}
	if i := slices.IndexFunc(r.points, func(e extract) bool { return e.info.Name == reading.Point }); i >= 0 {
		return r.points[i].info
	}
	info := inferred(reading)
	info.Delivery = r.delivery()
	return info
}

// delivery returns that of the points that no rule names.
func (r *rule) delivery() *bridge.Delivery {
	return newDelivery(r.config.OnChange, nil, r.config.Heartbeat, nil)
}

// device returns the template of the device's name.
func (c *Sensor) device() string {
	if c.Device == "" {
		return "{device}"
	}
	return c.Device
}

// point returns the template of the single point's name.
func (c *Sensor) point() string {
	if c.Point == "" {
		return "{point}"
	}
	return c.Point
}

// qos returns what is asked for when subscribing.
func (c *Sensor) qos() byte {
	if c.QoS == nil {
		return 1
	}
	return byte(*c.QoS)
}
