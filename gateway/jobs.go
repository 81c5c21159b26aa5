package gateway

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/gateway/change"
	"fieldbridge/gateway/orders"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/signed"
)

// ErrRestart ends a gateway that is to start again at once, in the same process.
var ErrRestart = errors.New("the gateway is to start again")

// takeJobs has the sink that o makes take the jobs of g, whose changer must be there.
func takeJobs(g *Gateway, o *awsiot.Options) {
	o.Opener = orders.Opener{Guard: signed.New(signed.Options{Gateway: g.name, State: g.state, Synced: o.Synced,
		Groups: func() []string { return g.change.Config().Updates.Groups },
		Trust:  func() signed.Trust { return g.change.Config().Updates.Trust() }})}
	fetcher := fetch.New(fetch.Options{Thing: g.name, Dir: filepath.Join(g.dir, "fetched"), Log: o.Log,
		Rate: float64(g.change.Config().Northbound.AWSIoT.Rate.Bytes), Busy: freshWaits(g), Free: free(g)})
	o.Alongside = func(ctx context.Context, s *uplink.Session) { fetcher.Serve(ctx, s) }
	quiet := func(ctx context.Context) (resume func(), err error) { return g.sink.HoldCommands(ctx) }
	update := orders.Update{Fetcher: fetcher, Usual: g.usual, Quiet: quiet}
	if g.releases.Folder != nil {
		update.Releases = &g.releases
	}
	o.Operations = map[string]jobs.Operation{
		"restart":  orders.Restart{Again: g.again.ask, Quiet: quiet},
		"rotate":   orders.Rotate{Identity: identity{g}},
		"diagnose": orders.Diagnose{Look: diagnosis(g)},
		"update":   update,
		"config": orders.Config{Dir: filepath.Join(g.dir, "deployed"), Changer: g.change,
			Layer: orders.Files{Fetcher: fetcher}, Usual: g.usual,
			Overwrite: func() bool { return g.change.Config().Updates.Config == signed.Overwrite }},
	}
	takeSystems(g, o.Operations, fetcher, quiet)
}

// usualWithin is how long after its start a gateway may take until it is as usual. What
// is not there then, as a device that is switched off, is taken for gone.
const usualWithin = time.Minute

// awaitUsual closes usual when a gateway that has started is as it was before, as far as
// it can know: it is connected, and each of its devices has good points. What is put on
// trial sooner would be measured by nothing.
func awaitUsual(ctx context.Context, polls <-chan struct{}, vital func() change.Vital, usual chan<- struct{}) {
	late := time.NewTimer(usualWithin)
	defer late.Stop()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return
		case <-late.C:
			over = true
		case <-look.C:
			select {
			case <-polls:
				over = isUsual(vital())
			default:
				late.Reset(usualWithin) // a start may take its time
			}
		}
	}
	close(usual)
}

func isUsual(v change.Vital) bool {
	for _, good := range v.Good {
		if good == 0 {
			return false
		}
	}
	return v.Connected
}

// diagnosis returns what tells how the gateway is, without secrets.
func diagnosis(g *Gateway) func() (sentence, version, config, run string, problems []string) {
	return func() (sentence, version, config, run string, problems []string) {
		s := g.Status()
		hidden := g.logging.hidden.Load()
		for _, c := range s.Conditions {
			problems = append(problems, hidden.In(c.String()))
		}
		return hidden.In(s.Sentence()), s.Version, s.Config, s.Run, problems
	}
}

// restart is asked for by a job: one value at most.
type restart chan struct{}

// ask has a gateway end with [ErrRestart]; it does not wait for that.
func (r restart) ask() {
	select {
	case r <- struct{}{}:
	default:
	}
}

// await calls stop with [ErrRestart] when somebody asks, until ctx ends.
func (r restart) await(ctx context.Context, stop context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-r:
		stop(ErrRestart)
	}
}

// identity is that of the sink, which is made later.
type identity struct{ g *Gateway }

func (i identity) Rotate(ctx context.Context) error { return i.g.sink.Rotate(ctx) }
func (i identity) Link() bridge.LinkStatus          { return i.g.sink.Link() }

// prove returns what tells why a deployed configuration must not be tried: it changes
// what no job may change, or names an endpoint that cannot be reached.
func prove(g *Gateway) func(ctx context.Context, old, new *configs.Config) error {
	return func(ctx context.Context, old, new *configs.Config) error {
		trust := old.Updates
		trust.Groups = new.Updates.Groups // who may order names the gateway as well as its group
		if !reflect.DeepEqual(trust, new.Updates) {
			return bridge.Permanent(errors.New("it changes updates, which no job may: edit the file on the machine"))
		}
		if takes := slices.Contains[[]string]; takes(old.Northbound.AWSIoT.Jobs, "config") &&
			!takes(new.Northbound.AWSIoT.Jobs, "config") {
			return bridge.Permanent(errors.New("its northbound.awsiot.jobs does not name config, so that no job could change " +
				"it again: edit the file on the machine"))
		}
		if key := fixedKey(old, new); key != "" {
			return bridge.Permanent(fmt.Errorf("it changes %s, which needs a restart with an edited file", key))
		}
		return g.sink.Prove(ctx, &new.Northbound.AWSIoT)
	}
}

// freshWaits returns what tells whether readings of now are held up: a file gives way to
// them. One may take linger and a second.
func freshWaits(g *Gateway) func() bool {
	f := &fresh{may: func() time.Duration { return g.change.Config().Northbound.AWSIoT.Linger.D() + time.Second },
		look: func() (waiting, accepted uint64) {
			q := g.queue.Status()
			return q.Fresh.Readings, q.Ledger.Accepted.Readings
		}}
	return f.holdUp
}

// free returns what tells how much of the disk files may take.
func free(g *Gateway) func() (int64, error) {
	return func() (int64, error) {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(g.dir, &fs); err != nil {
			return 0, err
		}
		return int64(fs.Bavail)*int64(fs.Bsize) - int64(g.change.Config().Store.MinFree), nil
	}
}
