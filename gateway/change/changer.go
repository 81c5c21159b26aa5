package change

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/configs"
	"fieldbridge/configs/tree"
	"fieldbridge/pause"
	"fieldbridge/setting"
)

const (
	// goodAfter is how long a configuration must run to be good by itself.
	goodAfter = 5 * time.Minute
	// watchEvery is how often the files are looked at.
	watchEvery = 2 * time.Second
)

// Options are what a [Changer] needs to know of the gateway.
type Options struct {
	File    string // as the user names it
	Gateway string // of a fleet file; may be empty
	// Apply makes a running gateway another one, whose configuration has a hash.
	// On an error nothing has changed.
	Apply func(old, new *configs.Config, hash string) error
	// Hide is told, before anything of a configuration is applied, what is not to be
	// shown of it. It may be nil.
	Hide func(*setting.Hidden)
	// Prove tells why a new configuration must not be deployed: it changes what it may
	// not, or names an endpoint that cannot be reached. Nil allows all.
	Prove func(ctx context.Context, old, new *configs.Config) error
	// Vital tells how the gateway is doing.
	Vital func() Vital
	State bridge.State
	Log   *slog.Logger
}

// Vital is how a gateway is doing at one instant.
type Vital struct {
	Connected bool
	Acked     uint64         // batches that the cloud has acknowledged
	Waiting   uint64         // batches that it has not acknowledged
	Good      map[string]int // good points, by device
	Unread    map[string]int // points that were not tried yet, by device
	// Bad returns the points of a device that are bad, as far as they are known. It
	// may be nil.
	Bad func(device string) []string
	// Conditions are what is wrong; alarms among them count for what is deployed.
	Conditions []condition.Condition
}

// Status is what is applied, for people and programs.
type Status struct {
	Hash     string    `json:"hash"`
	Origin   string    `json:"origin"` // the file, or "last good configuration"
	Applied  time.Time `json:"applied"`
	OnTrial  time.Time `json:"on_trial_until,omitzero"`
	Problem  string    `json:"problem,omitempty"` // why the file is not what runs
	Reloaded int       `json:"reloads"`
}

// Changer owns what configuration a gateway runs. It is safe for concurrent use.
//
// Whoever changes something holds turn, over files, fsyncs and [Options.Apply],
// which may take seconds. What others ask for is published in shown and never
// waits for any of it.
type Changer struct {
	o     Options
	turn  chan struct{}         // holds one token while a change is under way
	shown atomic.Pointer[shown] // written by who holds turn

	snapshot []byte   // with turn; of what runs
	files    []string // with turn; to be watched
	absent   []string // with turn; the files that what runs could not read when it was applied
	seen     string   // with turn; how files looked at the last load
	good     bool     // with turn; what runs is known to work
	usual    usual    // with turn
	pending  *pending // with turn; nil unless what runs is on trial
}

// shown is what a gateway runs, as anyone may see it. It is immutable.
type shown struct {
	config  *configs.Config // see lean
	status  Status
	problem time.Time // since when there is status.Problem
}

// pending is what to return to when a trial fails.
type pending struct {
	old      *configs.Config // see lean
	snapshot []byte
	hash     string
	origin   string
	before   Vital
	share    float64
	acked    uint64
	deployed *deployed    // nil for a change of the file
	outcome  chan<- error // is told the end, once; nil tells nobody
}

// New returns the changer of a gateway that starts with s. Of s.Config it keeps
// all but the points of the Modbus devices.
func New(s Started, o Options) *Changer {
	c := &Changer{o: o, turn: make(chan struct{}, 1), snapshot: s.snapshot, files: s.Files,
		absent: textsOf(s.Absent)}
	c.shown.Store(&shown{config: lean(s.Config), status: Status{Hash: s.Hash, Origin: o.File, Applied: time.Now()}})
	if s.FellBack != "" {
		c.show(func(now *shown) { now.status.Origin = "last good configuration" })
		c.files = []string{o.File}
		c.good = true
		c.showProblem("the file is not used: " + s.FellBack)
	}
	c.seen = look(c.files)
	return c
}

// Config returns what runs, without the points of the Modbus devices. It is
// read-only.
func (c *Changer) Config() *configs.Config { return c.shown.Load().config }

// Status returns what is applied. It never waits for a reload.
func (c *Changer) Status() Status { return c.shown.Load().status }

// Health implements [condition.Reporter]. It never waits for a reload.
func (c *Changer) Health() []condition.Condition {
	now := c.shown.Load()
	if now.status.Problem == "" {
		return nil
	}
	return []condition.Condition{condition.FileNotUsed.At("configuration", now.problem, now.status.Problem)}
}

// show publishes a change of what runs. The caller holds turn.
func (c *Changer) show(change func(now *shown)) {
	next := *c.shown.Load()
	change(&next)
	c.shown.Store(&next)
}

// showProblem publishes why the file is not what runs, "" if it is. The caller
// holds turn.
func (c *Changer) showProblem(text string) {
	c.show(func(now *shown) {
		if text != "" && now.status.Problem == "" {
			now.problem = time.Now()
		}
		now.status.Problem = text
	})
}

// begin waits until no other change is under way, or ctx ends.
func (c *Changer) begin(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Changer) end() { <-c.turn }

// ErrOnTrial says that a change waits for its confirmation.
var ErrOnTrial = errors.New("a change is on trial: wait until it is confirmed or taken back")

// Reload reads the file and applies what is different. If it is wrong, nothing
// changes and the error, an [*tree.Error], tells why. The same content does
// nothing. The text tells what was done.
//
// With confirm the change is on trial for so long: then the link must be up and
// have acknowledged something, and of the devices that both configurations have
// at least share (1 is all) of the points that were good must be good again;
// else the change is taken back.
//
// Reloads happen one after another. ctx ends the wait for the one before; what
// has begun goes on to its end, since a change by halves would be worse.
func (c *Changer) Reload(ctx context.Context, confirm time.Duration, share float64) (text string, err error) {
	if err := c.begin(ctx); err != nil {
		return "", fmt.Errorf("another reload is under way: %w", err)
	}
	defer c.end()
	return c.reload(ctx, confirm, share)
}

// reload is Reload for who holds turn.
func (c *Changer) reload(ctx context.Context, confirm time.Duration, share float64) (text string, err error) {
	if c.pending != nil {
		return "", ErrOnTrial
	}
	c.seen = look(c.files)
	l, err := configs.LoadGateway(ctx, c.o.File, c.o.Gateway)
	own := ""
	if err == nil {
		own = l.Hash
		l, err = chosen(ctx, l, c.o.State)
	}
	if err == nil {
		err = tree.ErrorOf(append(c.vanished(l), l.Missing...)...)
	}
	if err != nil && ctx.Err() != nil {
		c.seen = "" // it is read again
		return "", err
	}
	if err != nil {
		c.refuse("the file is wrong and was not applied: "+firstLine(err), err)
		return "", err
	}
	c.files = l.Files
	c.seen = look(c.files)
	if l.Hash == c.Status().Hash {
		c.showProblem("")
		return Unchanged, nil
	}
	changes := c.changes(l)
	before, err := c.before(ctx, confirm > 0)
	if err != nil {
		c.seen = "" // it is read again
		return "", err
	}
	if err := c.apply(l, before, confirm, share); err != nil {
		c.refuse("the file was not applied: "+err.Error(), err)
		return "", err
	}
	c.edited(own)
	if confirm == 0 {
		return fmt.Sprintf("applied %s%s", l.Hash, changes), nil
	}
	return fmt.Sprintf("applied %s, on trial for %s%s", l.Hash, confirm, changes), nil
}

// mostChanges are told of a reload at most.
const mostChanges = 30

// changes tells in words, a line each, what l changes of what runs.
func (c *Changer) changes(l *configs.Loaded) string {
	runs, err := good{Origin: c.o.File, YAML: c.snapshot}.unpack()
	if err != nil {
		return "" // what was applied is told anyway
	}
	// A snapshot names files by their whole paths. Beside one, a file that was given
	// as "g.yaml" would seem to move all of its own.
	next, err := good{Origin: c.o.File, YAML: pack(l)}.unpack()
	if err != nil {
		return ""
	}
	lines := configs.Diff(runs, next)
	if more := len(lines) - mostChanges; more > 0 {
		lines = append(lines[:mostChanges:mostChanges], fmt.Sprintf("and %d more changes", more))
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString("\n  " + line)
	}
	return text.String()
}

// Unchanged is what a reload says that changes nothing.
const Unchanged = "nothing has changed"

// vanished returns the files that l wants and that cannot be read, but for those
// which could not be read for what runs either: a path with a typo must not end
// what works, and a gateway that waits for its certificate may be changed.
func (c *Changer) vanished(l *configs.Loaded) []tree.Problem {
	return slices.DeleteFunc(slices.Clone(l.Absent),
		func(p tree.Problem) bool { return slices.Contains(c.absent, p.Text) })
}

// textsOf returns what problems say.
func textsOf(problems []tree.Problem) []string {
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.Text
	}
	return texts
}

// refuse tells once that a file is not used.
func (c *Changer) refuse(problem string, err error) {
	if c.Status().Problem != problem {
		c.o.Log.Error("configuration refused, nothing changes", "file", c.o.File, "err", err)
	}
	c.showProblem(problem)
}

// apply brings l into the gateway. What it must return to is on the disk
// before. A trial compares with before.
func (c *Changer) apply(l *configs.Loaded, before Vital, confirm time.Duration, share float64) error {
	if confirm > 0 {
		if err := c.keepGood(); err != nil {
			return fmt.Errorf("keep the running configuration: %w", err)
		}
	}
	if err := save(c.o.State, trialKey, trial{Hash: l.Hash, Starts: 1, Confirm: confirm > 0}); err != nil && confirm > 0 {
		return fmt.Errorf("keep the trial: %w", err)
	}
	was := c.shown.Load()
	old, err := c.whole(was.config, c.snapshot)
	if err != nil {
		return fmt.Errorf("read the running configuration again: %w", err)
	}
	config := l.Config
	if c.o.Hide != nil {
		c.o.Hide(l.Hidden)
	}
	if err := c.o.Apply(old, &config, l.Hash); err != nil {
		err = l.Hidden.Error(err)
		_ = save(c.o.State, trialKey, trial{Hash: l.Hash, Refused: err.Error()}) // it is told anyway
		return err
	}
	now := time.Now()
	if confirm > 0 {
		c.pending = &pending{
			old: was.config, snapshot: c.snapshot, hash: was.status.Hash, origin: was.status.Origin,
			before: before, share: share, acked: c.o.Vital().Acked,
		}
	}
	c.snapshot, c.good, c.absent = pack(l), false, textsOf(l.Absent)
	next := &shown{config: lean(config), status: Status{
		Hash: l.Hash, Origin: c.o.File, Applied: now, Reloaded: was.status.Reloaded + 1,
	}}
	if confirm > 0 {
		next.status.OnTrial = now.Add(confirm)
	}
	c.shown.Store(next)
	c.o.Log.Info("configuration applied", "file", c.o.File, "hash", l.Hash, "trial", confirm)
	return nil
}

// keepGood makes what runs the last good configuration.
func (c *Changer) keepGood() error {
	hash := c.Status().Hash
	if load[good](c.o.State, goodKey).Hash == hash {
		c.good = true
		return nil
	}
	err := save(c.o.State, goodKey, good{hash, c.o.File, time.Now(), c.snapshot})
	c.good = err == nil
	return err
}

// look tells how files look, so that a change shows.
func look(files []string) string {
	text := ""
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			text += "?"
			continue
		}
		text += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return text
}

// Run watches the files, if the configuration says so, and ends trials, until
// ctx ends.
func (c *Changer) Run(ctx context.Context) {
	ticker := pause.NewLook(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			c.stopped()
			return
		case <-ticker.C:
		}
		if c.begin(ctx) == nil {
			c.tick(ctx)
			c.end()
		}
	}
}

// stopped notes a stop that was asked for: it does not count as a crash. A trial
// is not forgiven.
func (c *Changer) stopped() {
	c.turn <- struct{}{}
	defer c.end()
	if c.pending != nil {
		c.pending.settle(ErrStopped)
	}
	if c.pending == nil && !c.good {
		_ = save(c.o.State, trialKey, trial{Hash: c.Status().Hash}) // at worst it counts
	}
}

// tick does what is due.
func (c *Changer) tick(ctx context.Context) {
	s := c.Status()
	now := time.Now()
	switch {
	case c.pending != nil && !now.Before(s.OnTrial):
		c.judge()
	case c.pending == nil && !c.good && now.Sub(s.Applied) >= goodAfter:
		c.becomeGood()
	}
	if c.pending == nil && c.Config().Watch && look(c.files) != c.seen {
		// The error is in the log and in the health.
		_, _ = c.reload(ctx, 0, 1)
	}
}

// becomeGood notes that what runs works.
func (c *Changer) becomeGood() {
	err := c.keepGood()
	if err == nil {
		err = save(c.o.State, trialKey, trial{})
	}
	if err != nil {
		c.good = true // not told again every two seconds
		c.o.Log.Error("the last good configuration cannot be kept", "err", err)
	}
}

// lean returns a configuration without the points of its Modbus devices: of a
// large one they are nearly all, and they stand in the snapshot, too.
func lean(config configs.Config) *configs.Config {
	devices := maps.Clone(config.Southbound.Modbus.Devices)
	for name, d := range devices {
		d.Points = nil
		devices[name] = d
	}
	config.Southbound.Modbus.Devices = devices
	return &config
}

// whole returns a lean configuration with its points, from its snapshot.
func (c *Changer) whole(config *configs.Config, snapshot []byte) (*configs.Config, error) {
	l, err := good{Origin: c.o.File, YAML: snapshot}.unpack()
	if err != nil {
		return nil, err
	}
	full := *config
	devices := maps.Clone(config.Southbound.Modbus.Devices)
	for name, d := range devices {
		d.Points = l.Config.Southbound.Modbus.Devices[name].Points
		devices[name] = d
	}
	full.Southbound.Modbus.Devices = devices
	return &full, nil
}
