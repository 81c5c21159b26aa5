package change

import (
	"context"
	"errors"
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/configs/tree"
)

// mostStarts is how often a configuration may be started before it must have
// become good.
const mostStarts = 3

// Started is what a gateway starts with.
type Started struct {
	*configs.Loaded
	// FellBack is why it is the last good configuration and not the file's, ""
	// if it is the file's.
	FellBack string

	snapshot []byte
}

// start packs what is kept of l and releases its tree: a gateway has little
// memory, and the parts that read the configuration come next.
func start(l *configs.Loaded, fellBack string) Started {
	s := Started{Loaded: l, FellBack: fellBack, snapshot: pack(l)}
	l.Release()
	return s
}

// Start chooses the configuration to start with and counts the start. The tree of
// what it returns is released. open opens
// the state of a queue's folder. The error is the file's, where there is no good
// configuration to fall back to.
func Start(ctx context.Context, file, gateway string, open func(dir string) (bridge.State, error)) (Started, error) {
	l, err := configs.LoadGateway(ctx, file, gateway)
	if err == nil && len(l.Missing) > 0 {
		err = &tree.Error{Problems: l.Missing}
	}
	if err != nil {
		return fallBack(ctx, file, gateway, open, err)
	}
	state, err := open(string(l.Config.Store.Dir))
	if err != nil {
		return start(l, ""), nil // the queue will tell
	}
	own := l
	l, err = chosen(ctx, l, state)
	if err != nil {
		g := load[good](state, goodKey)
		if last, e := g.unpack(); e == nil {
			last.Hash = g.Hash
			return start(last, "what was deployed cannot be used: "+firstLine(err)), nil
		}
		return start(own, ""), nil
	}
	t := load[trial](state, trialKey)
	why := ""
	switch {
	case t.Hash != l.Hash:
		t = trial{Hash: l.Hash}
	case t.Refused != "":
		why = t.Refused
	case t.Confirm:
		why = "it was on trial when the gateway ended"
	case t.Starts >= mostStarts:
		why = fmt.Sprintf("the gateway was started %d times with it and never ran for %s", t.Starts, goodAfter)
	}
	g := load[good](state, goodKey)
	if why != "" && g.Hash != "" && g.Hash != l.Hash {
		if last, err := g.unpack(); err == nil {
			t.Confirm, t.Refused = false, why
			if err := save(state, trialKey, t); err != nil {
				why += "; " + err.Error()
			}
			last.Hash = g.Hash
			return start(last, why), nil
		}
	}
	if g.Hash != l.Hash {
		t.Starts++
		t.Confirm, t.Refused = false, ""
		// A disk that does not take it will be told by the queue.
		_ = save(state, trialKey, t)
	}
	return start(l, ""), nil
}

// fallBack is for a file that is wrong or not there.
func fallBack(ctx context.Context, file, gateway string, open func(dir string) (bridge.State, error),
	wrong error) (Started, error) {
	if ctx.Err() != nil {
		return Started{}, wrong
	}
	dir := configs.QueueDir(ctx, file, gateway)
	if dir == "" {
		return Started{}, wrong
	}
	state, err := open(dir)
	if err != nil {
		return Started{}, wrong
	}
	g := load[good](state, goodKey)
	if g.Hash == "" {
		return Started{}, wrong
	}
	last, err := g.unpack()
	if err != nil {
		return Started{}, wrong
	}
	last.Hash = g.Hash
	return start(last, "the file is wrong: "+firstLine(wrong)), nil
}

// firstLine tells the first of many problems.
func firstLine(err error) string {
	var many *tree.Error
	if !errors.As(err, &many) || len(many.Problems) == 1 {
		return err.Error()
	}
	return fmt.Sprintf("%s (and %d more)", many.Problems[0], len(many.Problems)-1)
}
