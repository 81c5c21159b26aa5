package mqtt

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/bridge"
)

// rule is a sensor of the configuration, ready to use.
type rule struct {
	name   string
	config Sensor
	filter filter
	device template
	point  template // of the single point, if the whole payload is its value
	single *extract
	points []extract // from JSON, sorted by name
	limit  int       // of devices
	faults faultLog
}

// extract says how one point is read.
type extract struct {
	info    bridge.PointInfo
	path    string // GJSON
	typ     typeInfo
	scaling bridge.Scaling
}

// defaultMaxDevices is how many devices one rule may make: more is a publisher
// gone mad.
const defaultMaxDevices = 1000

// compile makes a rule of a sensor. Validate reports the same errors with their
// keys.
func compile(name string, c Sensor) (*rule, error) {
	r := &rule{name: name, config: c, limit: defaultMaxDevices}
	var err error
	if r.filter, err = parseFilter(c.Topic); err != nil {
		return nil, fmt.Errorf("sensor %s: topic: %w", name, err)
	}
	if r.device, err = parseTemplate(c.device(), &r.filter); err != nil {
		return nil, fmt.Errorf("sensor %s: device: %w", name, err)
	}
	if len(c.Points) == 0 {
		return r, r.compileSingle(c)
	}
	for _, point := range slices.Sorted(maps.Keys(c.Points)) {
		e, err := newExtract(point, c.Points[point])
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
	e, err := newExtract("", Point{Type: c.Type, Unit: c.Unit, Scale: c.Scale, Offset: c.Offset})
	if err != nil {
		return fmt.Errorf("sensor %s: %w", r.name, err)
	}
	r.single = &e
	return nil
}

func newExtract(name string, p Point) (extract, error) {
	typ, ok := lookupType(p.Type)
	if !ok {
		return extract{}, fmt.Errorf("%q is no type", p.Type)
	}
	e := extract{path: p.Path, typ: typ, scaling: bridge.NewScaling(p.Scale, p.Offset)}
	e.info = bridge.PointInfo{Name: name, Type: typ.name, Unit: p.Unit}
	return e, nil
}

// info returns what the catalogue is told about a point that was read.
func (r *rule) info(reading bridge.Reading) bridge.PointInfo {
	if r.single != nil {
		info := r.single.info
		info.Name = reading.Point
		return info
	}
	i := slices.IndexFunc(r.points, func(e extract) bool { return e.info.Name == reading.Point })
	return r.points[i].info
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
