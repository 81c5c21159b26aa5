package byhand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
)

// named is a device of a file, or one of its points, to be asked by hand: by the
// running gateway of the file where that holds its bus.
type named struct {
	commission.Device
	fields []*point.Field // those that are named
	dir    string         // the queue of the gateway that holds the bus; "" is none
	bus    string         // by which that gateway knows it
	hash   string         // of the file
	runs   string         // of the configuration that the gateway runs
}

// NamesFile reports whether the first argument of a command is a file of a gateway
// and not a bus.
func NamesFile(arg string) bool {
	if strings.Contains(arg, "://") {
		return false
	}
	_, err := os.Stat(arg)
	return err == nil || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml")
}

// Of is a gateway's file, and what of it is meant.
type Of struct {
	File    string
	Gateway string        // of a fleet file
	Name    string        // DEVICE or DEVICE.POINT
	Timeout time.Duration // in place of the device's; 0 is that
}

// find finds what is meant.
func find(ctx context.Context, of Of) (n named, err error) {
	loaded, err := configs.LoadField(ctx, of.File, of.Gateway)
	if err != nil {
		return n, Misuse{err, true}
	}
	n.hash = loaded.Hash
	cfg := loaded.Config.Southbound.Modbus
	device, at := of.Name, ""
	if i := strings.LastIndex(device, "."); i >= 0 {
		if _, whole := cfg.Devices[device]; !whole {
			device, at = device[:i], device[i+1:]
		}
	}
	if n.Device, n.bus, err = modbus.ByHand(cfg, device); err != nil {
		return n, misuse(err)
	}
	n.fields = n.Fields
	if at != "" {
		if n.fields, err = pointNamed(n.Device, at); err != nil {
			return n, misuse(err)
		}
	}
	if of.Timeout > 0 {
		n.Timeout = of.Timeout
	}
	return n, n.ask(ctx, string(loaded.Config.Store.Dir))
}

// pointNamed returns the field of a point.
func pointNamed(d commission.Device, name string) ([]*point.Field, error) {
	var names []string
	for _, field := range slices.Concat(d.Fields, d.Others) {
		if field.Name == name {
			return []*point.Field{field}, nil
		}
		names = append(names, field.Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%s has no point %q: %s", d.Name, name,
		setting.Meant(name, names, "it has "+strings.Join(names, ", ")))
}

// answerTimeout is how long a running gateway may take to say what it holds.
const answerTimeout = 10 * time.Second

// ask finds out whether the gateway whose queue is in dir runs and holds the bus.
func (n *named) ask(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	data, err := control.Get(ctx, dir, "/status")
	if errors.Is(err, control.ErrNotRunning) {
		return nil
	}
	var s control.Status
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return fmt.Errorf("a gateway runs and does not say whether it holds the line: %w", err)
	}
	n.runs = s.Config
	if slices.ContainsFunc(s.Buses, func(b bridge.BusStatus) bool { return b.Address == n.bus }) {
		n.dir = dir
	}
	return nil
}

// open returns a master of the bus of n: the running gateway's, or our own.
func (d *Desk) open(n named) *commission.Master {
	return commission.Open(n.Place, n.Timeout, d.options(n.dir, n.bus))
}

// ReadOf reads a device of a file or one of its points; every 0 is once, else it
// does so until ctx ends.
func (d *Desk) ReadOf(ctx context.Context, of Of, every time.Duration) error {
	n, err := find(ctx, of)
	if err != nil {
		return err
	}
	if len(n.fields) == 1 && n.fields[0].WriteOnly() {
		return misuse(fmt.Errorf("%s may be written only (access: write), and is never read", of.Name))
	}
	m := d.open(n)
	defer m.Close()
	return d.again(ctx, every, func() error { return d.readNamed(ctx, m, n) })
}

// readNamed reads n and prints it. The error is that nothing of it could be read,
// or which of its points could not.
func (d *Desk) readNamed(ctx context.Context, m *commission.Master, n named) error {
	points, err := m.ReadPoints(ctx, n.Device, n.fields)
	if err != nil {
		return advised(err, n.bus)
	}
	if d.JSON {
		err = printPointsJSON(d.Data, points)
	} else {
		printPoints(d.Data, points)
	}
	bad := slices.IndexFunc(points, func(p commission.Point) bool { return p.Err != nil })
	if err == nil && bad >= 0 {
		p := points[bad]
		err = advised(fmt.Errorf("%s.%s (%s) is not read: %w", n.Name, p.Name, p.Place(), p.Err), n.bus)
	}
	return err
}

// printPoints prints a line for each point: what it is, where it is, and what
// stands there.
func printPoints(stdout io.Writer, points []commission.Point) {
	t := words.NewColumns(stdout)
	for _, p := range points {
		text := p.Text()
		if !p.Value.Good() {
			text = paint.Bad(stdout, text)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.Name, text, p.Unit, p.Place(), p.Raw)
		if hint := Told(p).Hint; hint != "" {
			fmt.Fprintf(t, "\t^ %s\n", hint)
		}
	}
	_ = t.Flush()
}

// Point is a point that was read, for programs.
type Point struct {
	Point   string `json:"point"`
	Value   any    `json:"value"` // null if bad
	Unit    string `json:"unit,omitempty"`
	Bad     string `json:"bad,omitempty"`
	Table   string `json:"table"`
	Address int    `json:"address"`
	Raw     string `json:"raw,omitempty"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"` // where the value is odd: how it would be a likely one
	Text    string `json:"-"`              // the value for people
}

// Told returns p for programs.
func Told(p commission.Point) Point {
	r := Point{Point: p.Name, Value: jsonValue(p.Value), Unit: p.Unit, Table: p.Table.String(), Address: p.Address,
		Raw: p.Raw, Text: p.Text()}
	if !p.Value.Good() {
		r.Bad = p.Value.Reason().String()
	}
	if p.Err != nil {
		r.Error = p.Err.Error()
	}
	if order, v, ok := p.Likelier(); ok {
		r.Hint = fmt.Sprintf("with order: %s it would be %v: does the device show that?", order, v)
	}
	return r
}

func printPointsJSON(stdout io.Writer, points []commission.Point) error {
	all := []Point{}
	for _, p := range points {
		all = append(all, Told(p))
	}
	return words.JSON(stdout, all)
}

// WriteOf sets a point of a file to a value, within the limits of the file.
func (d *Desk) WriteOf(ctx context.Context, of Of, text string) error {
	n, err := find(ctx, of)
	if err != nil {
		return err
	}
	if len(n.fields) != 1 || !strings.HasSuffix(of.Name, "."+n.fields[0].Name) {
		return misuse(fmt.Errorf("%q is a device: name a point of it, as %s.POINT", of.Name, n.Name))
	}
	field, value := n.fields[0], setup.ParseValue(text)
	if err := commission.MayWrite(field, value); err != nil {
		return misuse(fmt.Errorf("%s: %w", of.Name, err))
	}
	at := fmt.Sprintf("%s.%s (%s of unit %d on %s)", n.Name, field.Name, commission.Point{Field: field}.Place(), n.ID,
		n.bus)
	if err := confirm(d, at, strings.TrimSpace(value.String()+" "+field.Unit), func() (string, error) {
		m := d.open(n)
		defer m.Close()
		points, err := m.ReadPoints(ctx, n.Device, n.fields)
		if err == nil {
			err = points[0].Err
		}
		if err != nil {
			return "", err
		}
		return points[0].Text(), nil
	}); err != nil {
		return err
	}
	if n.dir == "" {
		m := d.open(n)
		defer m.Close()
		is, why := m.WritePoint(ctx, n.Device, field, value)
		return d.outcome(is, commission.AdviceOnFile(why, n.bus))
	}
	if n.runs != n.hash {
		return errors.New("the gateway runs another configuration than this file: 'fieldbridge reload' first, so that it " +
			"knows the point as it is written here")
	}
	is, err := control.WritePage.Ask(ctx, n.dir, control.Write{Device: n.Name, Point: field.Name, Value: value.String()})
	if err != nil {
		return err
	}
	return d.outcome(is, "")
}

// outcome tells what became of a write, with advice if it is not known to be as it
// should be; then it is an error.
func (d *Desk) outcome(is bridge.Written, advice string) error {
	enough := is.Outcome == bridge.Done || is.Outcome == bridge.Unconfirmed && is.Enough
	if d.JSON {
		outcome := map[bridge.WriteOutcome]string{bridge.Done: "done", bridge.Unconfirmed: "unconfirmed",
			bridge.Refused: "refused", bridge.Failed: "failed"}
		if err := words.JSON(d.Data, map[string]any{"outcome": outcome[is.Outcome], "text": is.Text}); err != nil {
			return err
		}
	}
	switch {
	case !enough && advice != "":
		return fmt.Errorf("%s: %s", is.Text, advice)
	case !enough:
		return errors.New(is.Text)
	case d.JSON:
	case is.Outcome == bridge.Unconfirmed:
		fmt.Fprintln(d.People, is.Text)
	default:
		fmt.Fprintln(d.People, "written, read back and the same")
		if is.Text != "" {
			fmt.Fprintln(d.People, is.Text)
		}
	}
	return nil
}
