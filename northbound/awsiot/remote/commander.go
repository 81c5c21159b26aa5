package remote

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
)

const (
	commandTimeout = 30 * time.Second
	// waitingCommands are taken while one is carried out.
	waitingCommands = 20
)

// request is a command as it came.
type request struct {
	by      way
	id      string // of an execution; of others it is in the payload
	payload []byte
	maxAge  time.Duration
	// permit asks whether the command still counts, after its id is durable; nil
	// is that it does. The outcome "" is yes.
	permit func(ctx context.Context) (outcome, string)
	reply  func(Answer) // is told the outcome; it must not block
	taken  *atomic.Bool // its turn has come; nil for one that never waited
}

// Options is what a [Commander] needs.
type Options struct {
	Gateway string
	Run     string       // the id of this start
	Log     *slog.Logger // required
	State   bridge.State // ids of commands and the switch; nil forgets
	// Writer, Reader and Pacer carry out commands; nil refuses them.
	Writer bridge.Writer
	Reader bridge.Reader
	Pacer  bridge.Pacer
	// Switched is told whether commands are switched off, by New and at each turn
	// of the switch; it must not block. Nil is not told.
	Switched func(off bool)
	// Synced reports whether the wall clock is known to be right. Without, no
	// command is carried out that has a time and changes anything. Required.
	Synced func() bool
	// Emit takes the audit records of commands; nil drops them.
	Emit bridge.Emit
	// Report returns what the shadow is to say: what JSON can. Required.
	Report func() map[string]any
	// Rebirth has birth and catalogue told again. Required.
	Rebirth func()
}

// Commander carries out what the cloud asks for, one command at a time, each
// once, and reports into the shadow. All its methods are safe for concurrent use.
type Commander struct {
	o        Options
	requests chan *request // carried out in their order
	waiting  chan *request // those of requests that wait for their turn, to be saved
	over     chan *request // refused
	busy     chan struct{} // holds a value while a command is carried out
	memory   memory
	records  records
	off      commandSwitch
	counts   [len(outcomes)]atomic.Uint64 // by outcome; the same again not counted
	now      atomic.Pointer[Connection]   // nil while there is none
	cuts     cuts

	executions *executions
}

// New returns a commander; it starts nothing.
func New(o Options) *Commander {
	c := &Commander{o: o, requests: make(chan *request, waitingCommands),
		waiting: make(chan *request, waitingOver), over: make(chan *request, waitingOver), busy: make(chan struct{}, 1),
		memory:     memory{state: o.State, done: make(map[string]finished), refused: make(map[string]finished)},
		executions: newExecutions(), off: newCommandSwitch()}
	c.off.tell = o.Switched
	c.records = records{out: o.Emit, memory: &c.memory, log: o.Log, poke: make(chan struct{}, 1)}
	c.off.read(o.State, o.Log)
	return c
}

// Health returns what is to be known of commands.
func (c *Commander) Health() []condition.Condition {
	var all []condition.Condition
	if cut, ok := c.cuts.condition(time.Now()); ok {
		all = append(all, cut)
	}
	if s := c.off.status(); s.Off {
		all = append(all, condition.CommandsOff.At("commands", s.Since))
	}
	return all
}

// Observe implements [bridge.Observable].
func (c *Commander) Observe(yield func(bridge.Metric)) {
	for i, o := range outcomes[:len(outcomes)-1] { // none becomes unknown while we live
		yield(bridge.Metric{Name: "fieldbridge_commands_total",
			Help: "Commands of the cloud, by what became of them; repeats are not counted.",
			Kind: bridge.Counter, Labels: []string{"outcome", string(o)}, Value: float64(c.counts[i].Load())})
	}
	off := 0.0
	if c.off.status().Off {
		off = 1
	}
	yield(bridge.Metric{Name: "fieldbridge_commands_off", Help: "1 while commands are switched off on the machine.",
		Kind: bridge.Gauge, Value: off})
}

// offer takes a request without waiting: it is carried out in its turn, or refused
// if too many wait. It reports whether there was room for it at all.
func (c *Commander) offer(r request) bool {
	r.taken = new(atomic.Bool)
	select {
	case c.requests <- &r:
		if len(c.requests) > 0 { // else its turn came at once
			select {
			case c.waiting <- &r:
			default:
			}
		}
		return true
	default:
	}
	select {
	case c.over <- &r:
		return true
	default:
		c.o.Log.Error("command dropped without an answer: more came than can be refused", "waiting", waitingOver)
		return false
	}
}

// Run carries out commands until ctx ends; those that wait then are refused. It is
// called once.
func (c *Commander) Run(ctx context.Context) {
	c.records.recall() // before there are others
	var clerk sync.WaitGroup
	clerk.Go(func() { c.clerk(ctx) })
	defer func() {
		clerk.Wait()
		c.turnAway(append(drain(c.requests), drain(c.over)...), beforeItsTurn)
		c.records.file()
	}()
	for ctx.Err() == nil {
		due := c.payDue()
		select {
		case <-ctx.Done():
		case r := <-c.requests:
			c.serve(ctx, *r)
		case a := <-c.executions.answers:
			c.settle(a)
		case <-c.executions.connected:
			c.payAll()
		case <-due:
		}
	}
}

// beforeItsTurn is what is told of a command that waited when the gateway stopped.
const beforeItsTurn = "the gateway stopped before its turn"

// serve carries out a request, when nobody holds commands up.
func (c *Commander) serve(ctx context.Context, r request) {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		c.turnAway([]request{r}, beforeItsTurn)
		return
	}
	defer func() { <-c.busy }()
	a := c.carryOut(ctx, r)
	c.count(a)
	r.reply(a)
}

// Hold returns when no command is under way, and none begins until resume is called:
// the gateway is about to stop. Those that come meanwhile wait for their turn.
func (c *Commander) Hold(ctx context.Context) (resume func(), err error) {
	select {
	case c.busy <- struct{}{}:
		return func() { <-c.busy }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// count counts an outcome that is told for the first time.
func (c *Commander) count(a Answer) {
	if !a.Again {
		c.counts[slices.Index(outcomes[:], a.Outcome)].Add(1)
	}
}

// parse reads the command of a request.
func (r *request) parse() (command, error) {
	cmd, err := parseCommand(r.payload, r.by)
	if r.by == viaExecution {
		cmd.ID = r.id
	}
	return cmd, err
}

// begun returns what is to be remembered of a command that is begun, or refused.
func (r *request) begun(cmd *command) finished {
	return finished{Until: time.Now().Add(max(rememberFor, 2*r.maxAge)).UnixMilli(),
		Spent: cmd.At + r.maxAge.Milliseconds(), Outcome: outcomeUnknown, Owed: r.by == viaExecution,
		Record: cmd.fields(r.by)}
}

// carryOut decides about a request and does what it asks for.
func (c *Commander) carryOut(ctx context.Context, r request) Answer {
	if r.taken != nil {
		r.taken.Store(true) // before the memory is asked
	}
	cmd, err := r.parse()
	a := Answer{ID: cmd.ID}
	waited := false // the memory has it as one that waits
	refuse := func(o outcome, text string) Answer {
		a.Outcome, a.Text = o, text
		if waited {
			f := r.begun(&cmd)
			f.Outcome, f.Text = o, text
			waited = c.memory.remember(cmd.ID, f) == nil
		}
		c.conclude(&cmd, r.by, &a, waited)
		return a
	}
	if err != nil {
		return refuse(outcomeRefused, err.Error())
	}
	f, known, err := c.memory.known(cmd.ID)
	switch {
	case err != nil:
		return refuse(outcomeRefused, "the memory of commands cannot be read: "+err.Error())
	case known && !f.Waits:
		a.Outcome, a.Text, a.Again, a.Enough = f.Outcome, f.Text, true, f.Enough
		return a
	}
	waited = known
	f = r.begun(&cmd)
	if text := c.forbids(&cmd); text != "" {
		// It is refused for good, though the switch or the clock change.
		a.Outcome, a.Text = outcomeRefused, text
		f.Outcome, f.Text = a.Outcome, a.Text
		if !c.memory.refuse(map[string]finished{cmd.ID: f}) {
			c.o.Log.Warn("a refused command is remembered until the stop only", "id", cmd.ID)
		}
		c.conclude(&cmd, r.by, &a, true)
		return a
	}
	if text := c.stale(&cmd, r.maxAge); text != "" {
		return refuse(outcomeExpired, text)
	}
	// The id is on disk before anything happens: whatever becomes of this
	// process, the command is not carried out a second time.
	if err := c.memory.remember(cmd.ID, f); err != nil {
		return refuse(outcomeRefused, err.Error())
	}
	c.attempt(ctx, r, &cmd, &a)
	f.Outcome, f.Enough, f.Text = a.Outcome, a.Enough, a.Text
	if err := c.memory.remember(cmd.ID, f); err != nil {
		c.o.Log.Warn("the outcome of a command is not saved", "id", cmd.ID, "err", err)
	}
	c.conclude(&cmd, r.by, &a, true)
	return a
}

// conclude logs what became of a command and leaves a record of it among the
// readings; remembered says that the memory has it until it is safe there.
func (c *Commander) conclude(cmd *command, by way, a *Answer, remembered bool) {
	c.o.Log.Info("command", "id", cmd.ID, "via", by, "action", cmd.Action, "device", cmd.Device, "point", cmd.what(),
		"value", string(cmd.Value),
		"every", time.Duration(cmd.Every), "for", time.Duration(cmd.For), "outcome", a.Outcome, "text", a.Text)
	f := finished{Outcome: a.Outcome, Text: a.Text, Record: cmd.fields(by)}
	r := &record{fields: f.outcomeFields(), at: time.Now()}
	if remembered {
		r.id = cmd.ID
	}
	c.records.put(r)
}

// attempt does what a command asks for, if it still counts.
func (c *Commander) attempt(ctx context.Context, r request, cmd *command, a *Answer) {
	if r.permit != nil {
		a.Outcome, a.Text = r.permit(ctx)
		if a.asked, c.executions.asked = c.executions.asked, 0; a.Outcome != "" {
			return
		}
		if text := c.forbids(cmd); text != "" { // it was switched off meanwhile
			a.Outcome, a.Text = outcomeRefused, text
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	a.Outcome, a.Text = c.execute(ctx, cmd, a)
}

// forbids returns why no command of its kind is carried out at present; "" is
// that it may be.
func (c *Commander) forbids(cmd *command) string {
	switch {
	case c.off.status().Off:
		return "commands are switched off on the machine"
	case !c.o.Synced() && (cmd.At != 0 || cmd.Expires != 0) && cmd.Action.acts():
		return "the gateway's clock is not known to be right, so it cannot tell how old the command is"
	}
	return ""
}

// stale returns why a command is not carried out any more; "" is that it may be.
// With a clock that is not known to be right age means nothing, see
// [Commander.forbids]. An execution without a time is judged by AWS's clock.
func (c *Commander) stale(cmd *command, maxAge time.Duration) string {
	if !c.o.Synced() {
		return ""
	}
	now := time.Now()
	if age := now.Sub(time.UnixMilli(cmd.At)); cmd.At != 0 && (age > maxAge || age < -maxAge) {
		return fmt.Sprintf("the command is %v old, %v are allowed; or the clocks differ", age.Round(time.Millisecond), maxAge)
	}
	if expires := time.UnixMilli(cmd.Expires); cmd.Expires != 0 && !now.Before(expires) {
		return fmt.Sprintf("the command expired %v ago; or the clocks differ", now.Sub(expires).Round(time.Millisecond))
	}
	return ""
}

func (c *Commander) execute(ctx context.Context, cmd *command, a *Answer) (outcome, string) {
	o := &c.o
	switch {
	case cmd.Action == actionRebirth:
		c.o.Rebirth()
		return outcomeDone, ""
	case cmd.Action == actionRead && o.Reader != nil:
		return c.read(ctx, cmd, a)
	case cmd.Action == actionInterval && o.Pacer != nil:
		every, length := time.Duration(cmd.Every), time.Duration(cmd.For)
		if length == 0 {
			every = 0
		}
		return judge(o.Pacer.SetInterval(ctx, cmd.Device, every, length))
	case cmd.Action == actionWrite && o.Writer != nil:
		w, err := cmd.write()
		if err != nil {
			return outcomeRefused, err.Error()
		}
		is := o.Writer.Write(ctx, w)
		a.Enough = is.Enough
		return written[is.Outcome], is.Text
	}
	return outcomeRefused, fmt.Sprintf("this gateway has nothing that takes %s", cmd.Action)
}

// read carries out a read. It is done when anything was read.
func (c *Commander) read(ctx context.Context, cmd *command, a *Answer) (outcome, string) {
	readings, err := c.o.Reader.ReadNow(ctx, cmd.Device, cmd.Points)
	if err != nil {
		return judge(err)
	}
	a.list(readings)
	for _, r := range readings {
		if r.Value.Good() {
			return outcomeDone, a.Text
		}
	}
	return outcomeFailed, "nothing could be read"
}

// written are the outcomes of writes in the words of commands.
var written = map[bridge.WriteOutcome]outcome{bridge.Done: outcomeDone, bridge.Unconfirmed: outcomeUnconfirmed,
	bridge.Refused: outcomeRefused, bridge.Failed: outcomeFailed}

// judge returns what an error of the field makes of a command.
func judge(err error) (outcome, string) {
	switch {
	case err == nil:
		return outcomeDone, ""
	case bridge.IsPermanent(err):
		return outcomeRefused, err.Error()
	}
	return outcomeFailed, err.Error()
}
