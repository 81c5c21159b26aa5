package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/setting"
	"fieldbridge/store"
	"fieldbridge/store/disk"
)

// queueRequest is one thing to do with a queue. It is done by the gateway that
// owns the folder, over its control socket, or here when none runs.
type queueRequest struct {
	op     string // inspect, verify, export, forget, purge, dead-list, dead-retry or dead-purge
	format string // of an export
	filter store.Filter
	limit  int // of dead-list
	// exported is what an export has read, and may be forgotten.
	exported store.Exported
}

// exportedTrailer is what an export has read, as JSON; errorTrailer why it is
// not complete.
const (
	exportedTrailer = "Fieldbridge-Exported"
	errorTrailer    = "Fieldbridge-Error"
)

// changes reports whether the request changes the queue.
func (r *queueRequest) changes() bool {
	return r.op == "forget" || r.op == "purge" || r.op == "dead-retry" || r.op == "dead-purge"
}

func (r *queueRequest) values() url.Values {
	v := url.Values{"op": {r.op}, "format": {r.format}, "limit": {strconv.Itoa(r.limit)}, "device": {r.filter.Device}}
	if r.op == "forget" {
		v.Set("exported", exportedText(r.exported))
	}
	for key, t := range map[string]time.Time{"since": r.filter.Since, "until": r.filter.Until} {
		if !t.IsZero() {
			v.Set(key, t.Format(time.RFC3339Nano))
		}
	}
	return v
}

func parseQueueRequest(v url.Values) (r queueRequest, err error) {
	r = queueRequest{op: v.Get("op"), format: v.Get("format"), filter: store.Filter{Device: v.Get("device")}}
	if s := v.Get("exported"); s != "" {
		if err := json.Unmarshal([]byte(s), &r.exported); err != nil {
			return r, err
		}
	}
	if r.limit, err = strconv.Atoi(cmp.Or(v.Get("limit"), "0")); err != nil {
		return r, err
	}
	for key, t := range map[string]*time.Time{"since": &r.filter.Since, "until": &r.filter.Until} {
		if s := v.Get(key); s != "" {
			if *t, err = time.Parse(time.RFC3339Nano, s); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// verified is what the verification of one file says.
type verified struct {
	File       string       `json:"file"`
	Bytes      int64        `json:"bytes"`
	Count      bridge.Count `json:"count"` // that can be read
	Damage     string       `json:"damage,omitempty"`
	Quarantine bool         `json:"quarantine,omitempty"`
}

func verifyAll(ctx context.Context, q *store.Queue) ([]verified, error) {
	all := []verified{}
	err := q.Verify(ctx, func(f store.Verified) {
		v := verified{File: f.File, Bytes: f.Bytes, Count: f.Count, Quarantine: f.Quarantine}
		if f.Damage != nil {
			v.Damage = f.Damage.Error()
		}
		all = append(all, v)
	})
	return all, err
}

// deadLetters are the oldest dead letters, and how many there are.
type deadLetters struct {
	Total   bridge.Count `json:"total"`
	Letters []deadLetter `json:"letters"`
}

// errEnough ends the reading of dead letters.
var errEnough = errors.New("enough")

// listDead returns at most limit dead letters: a running queue does not write
// while it reads them.
func listDead(ctx context.Context, q *store.Queue, limit int) (deadLetters, error) {
	list := deadLetters{Letters: []deadLetter{}}
	err := q.Dead(ctx, func(l store.DeadLetter) error {
		if len(list.Letters) >= limit {
			return errEnough
		}
		list.Letters = append(list.Letters, deadLetter{l.Run, l.Seq, l.Device, l.At, len(l.Readings), l.Cause})
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	list.Total = q.Inspect().Dead
	return list, err
}

// deadLetter is a dead letter, for people.
type deadLetter struct {
	Run      string    `json:"run"`
	Seq      uint64    `json:"seq"`
	Device   string    `json:"device"`
	At       time.Time `json:"at"`
	Readings int       `json:"readings"`
	Cause    string    `json:"cause"`
}

// do does it and writes the answer: an export as it is, all else as JSON. It
// returns what was exported.
func (r *queueRequest) do(ctx context.Context, q *store.Queue, gateway string, w io.Writer) (x store.Exported, err error) {
	var answer any
	switch r.op {
	case "inspect":
		answer = q.Inspect()
	case "verify":
		answer, err = verifyAll(ctx, q)
	case "export":
		return r.export(ctx, q, gateway, w)
	case "forget":
		answer, err = q.Forget(ctx, r.filter, r.exported)
	case "purge":
		answer, err = q.Purge(ctx)
	case "dead-list":
		answer, err = listDead(ctx, q, r.limit)
	case "dead-retry":
		answer, err = q.RetryDead(ctx)
	case "dead-purge":
		answer, err = q.PurgeDead(ctx)
	default:
		return x, fmt.Errorf("%q is nothing to do with a queue", r.op)
	}
	if err != nil {
		return x, err
	}
	return x, json.NewEncoder(w).Encode(answer)
}

func (r *queueRequest) export(ctx context.Context, q *store.Queue, gateway string, w io.Writer) (store.Exported, error) {
	x, err := store.NewExporter(w, r.format, gateway)
	if err != nil {
		return store.Exported{}, err
	}
	exported, err := q.Entries(ctx, r.filter, x.Write)
	if err != nil {
		return exported, err
	}
	return exported, x.Flush()
}

// exportedText is x in a trailer or in an address.
func exportedText(x store.Exported) string {
	data, err := json.Marshal(x)
	if err != nil {
		panic(err) // it has only numbers and texts
	}
	return string(data)
}

// serveQueue does a request on the running gateway's queue.
func (g *gateway) serveQueue(w http.ResponseWriter, r *http.Request) {
	req, err := parseQueueRequest(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if req.op == "forget" && req.exported.Run == "" { // the gateway did not run when it was exported
		http.Error(w, store.ErrRestarted.Error(), http.StatusConflict)
		return
	}
	if req.op == "export" {
		// What is in memory only is exported, too.
		if err := g.queue.Commit(r.Context()); err != nil {
			g.log.Warn("export without what is in memory", "err", err)
		}
	}
	w.Header().Set("Trailer", exportedTrailer+", "+errorTrailer)
	exported, err := req.do(r.Context(), g.queue, g.config.Gateway, w)
	w.Header().Set(exportedTrailer, exportedText(exported))
	if err != nil {
		w.Header().Set(errorTrailer, err.Error())
	}
	if req.changes() {
		g.log.Info("queue changed by the user", "what", req.op, "err", err)
	}
}

// queueAt is where a request is done.
type queueAt struct {
	gateway string
	store   store.Config
	limits  bool // store has the gateway's own limits, not the defaults
}

// do does r on the running gateway, or on the folder itself.
func (at *queueAt) do(ctx context.Context, r queueRequest, w io.Writer, stderr io.Writer) (x store.Exported, err error) {
	x, err = at.ask(ctx, r, w)
	if !errors.Is(err, errNotRunning) {
		return x, err
	}
	if r.op == "export" && at.gateway == "" {
		return x, errors.New("whose readings are these? name the configuration instead of the folder, or add --gateway NAME")
	}
	if r.op == "forget" && r.exported.Run != "" {
		return x, store.ErrRestarted
	}
	q, err := at.open(r.changes(), stderr)
	if err != nil {
		return x, err
	}
	x, err = r.do(ctx, q, at.gateway, w)
	return x, errors.Join(err, q.Close())
}

// open opens the folder of a gateway that does not run.
func (at *queueAt) open(change bool, stderr io.Writer) (*store.Queue, error) {
	dir := string(at.store.Dir)
	if !holdsQueue(dir) {
		return nil, fmt.Errorf("there is no queue in %s: name the gateway's configuration or its queue directory", dir)
	}
	cfg := at.store
	if cfg.SegmentSize == 0 {
		cfg.SegmentSize = min(store.DefaultSegmentSize, cfg.MaxSize/8)
	}
	var q *store.Queue
	var err error
	if change {
		if err := mayChange(dir); err != nil {
			return nil, err
		}
		// What is changed is recorded as a run of its own. The limits are out of
		// its reach: nothing but what is asked for may be dropped. A tenth of
		// max_size is mapped for dead letters, so it cannot just be huge.
		cfg.MaxSize, cfg.MaxAge, cfg.MinFree = max(2*cfg.MaxSize, 11*setting.Size(apparentSize(dir))), 0, 0
		q, err = store.Open(cfg, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	} else {
		if !at.limits {
			cfg.MaxSize = 0 // not known
		}
		q, err = store.OpenStopped(cfg)
	}
	var locked *disk.LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("queue %s is held by %s, which does not answer: if that gateway is starting or stopping, try again in a moment", dir, locked.By)
	}
	var newer *store.NewerFormatError
	if err != nil && !errors.As(err, &newer) {
		err = fmt.Errorf("the index of the queue in %s is damaged: %w: its gateway will repair it when it starts", dir, err)
	}
	return q, err
}

// holdsQueue reports whether dir is the folder of a queue: a look at another
// folder must not leave files in it.
func holdsQueue(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "meta")); err == nil {
		return true
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "seg-*.db"))
	return len(segments) > 0
}

// apparentSize returns the bytes of all files in dir.
func apparentSize(dir string) (total int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// mayChange refuses to change the queue of another user: the files that would be
// made could not be opened by its gateway.
func mayChange(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	name := strconv.FormatUint(uint64(owner.Uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	} else {
		name = "#" + name
	}
	return fmt.Errorf("queue %s is of user %s, who could not open what is changed now: run it as 'sudo -u %s fieldbridge queue ...'", dir, name, name)
}

// ask lets the running gateway do r.
func (at *queueAt) ask(ctx context.Context, r queueRequest, w io.Writer) (x store.Exported, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway/queue?"+r.values().Encode(), nil)
	if err != nil {
		return x, err
	}
	res, err := controlClient(string(at.store.Dir)).Do(req)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			err = errNotRunning
		} else if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("queue %s is of another user: run this as the user that the gateway runs as", at.store.Dir)
		}
		return x, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return x, fmt.Errorf("gateway says %s: %s", res.Status, text)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return x, err
	}
	if text := res.Trailer.Get(errorTrailer); text != "" {
		return x, errors.New(text)
	}
	if text := res.Trailer.Get(exportedTrailer); text != "" {
		err = json.Unmarshal([]byte(text), &x)
	}
	return x, err
}

// findQueue returns the queue that the argument names: a configuration, the
// folder itself, or nothing for ./queue.
func findQueue(args []string, gateway string) (at queueAt, err error) {
	at.store.SetDefaults()
	at.gateway = gateway
	if len(args) == 0 {
		return at, nil
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return at, err
	}
	if info.IsDir() {
		at.store.Dir = setting.Path(args[0])
		return at, nil
	}
	if loaded, err := configs.LoadGateway(args[0], gateway); err == nil {
		return queueAt{loaded.Config.Gateway, loaded.Config.Store, true}, nil
	}
	dir := configs.QueueDir(args[0], gateway) // the file may be wrong elsewhere
	if dir == "" {
		return at, fmt.Errorf("%s: it does not say where the queue is: run 'fieldbridge check %s'", args[0], args[0])
	}
	at.store.Dir = setting.Path(dir)
	return at, nil
}

// queueFlags adds the flags that all have.
func queueFlags(flags *flag.FlagSet) (gateway *string) {
	return flags.String("gateway", "", "`NAME` of the gateway in a fleet file, and in exports from a folder")
}
