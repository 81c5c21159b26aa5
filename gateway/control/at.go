package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"fieldbridge/setting"
	"fieldbridge/store"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// At is where a request to a queue is done: by the gateway that runs there, else
// on the folder itself.
type At struct {
	Gateway string // whose readings these are, if the folder does not say so
	Store   terms.Config
	Limits  bool // Store has the gateway's own limits, not the defaults
}

// Do does r and writes the answer to w. It returns what was exported.
func (at *At) Do(ctx context.Context, r Queue, w, stderr io.Writer) (x folder.Exported, err error) {
	x, err = at.ask(ctx, r, w)
	if !errors.Is(err, ErrNotRunning) {
		return x, err
	}
	if r.Op == Forget && r.Exported.Run != "" {
		return x, store.ErrRestarted
	}
	q, err := at.open(r.Op.changes(), stderr)
	if err != nil {
		return x, err
	}
	x, err = r.do(ctx, q, at.Gateway, w)
	return x, errors.Join(err, q.Close())
}

// ask lets the running gateway do r.
func (at *At) ask(ctx context.Context, r Queue, w io.Writer) (x folder.Exported, err error) {
	body, err := queuePage.open(ctx, string(at.Store.Dir), r)
	if err != nil {
		return x, err
	}
	defer func() { _ = body.Close() }()
	for parts := json.NewDecoder(body); ; {
		var p queuePart
		if err := parts.Decode(&p); err != nil {
			return x, fmt.Errorf("the gateway's answer breaks off: %w", err)
		}
		if _, err := w.Write(p.Data); err != nil {
			return x, err
		}
		switch {
		case !p.End:
		case p.Error != "":
			return p.Exported, errors.New(p.Error)
		default:
			return p.Exported, nil
		}
	}
}

// open opens the folder of a gateway that does not run: to be changed, or to be
// looked at.
func (at *At) open(change bool, stderr io.Writer) (q viewed, err error) {
	dir := string(at.Store.Dir)
	if !HoldsQueue(dir) {
		return nil, fmt.Errorf("there is no queue in %s: name the gateway's configuration or its queue directory", dir)
	}
	cfg := at.Store
	if cfg.SegmentSize == 0 {
		cfg.SegmentSize = min(terms.DefaultSegmentSize, cfg.MaxSize/8)
	}
	if change {
		if err := mayChange(dir); err != nil {
			return nil, err
		}
		// What is changed is recorded as a run of its own. The limits are out of
		// its reach: nothing but what is asked for may be dropped, dead letters
		// and the quarantine included, which may take a tenth each.
		cfg.MaxSize, cfg.MaxAge, cfg.MinFree = max(2*cfg.MaxSize, 11*setting.Size(apparentSize(dir))), 0, 0
		q, err = store.Open(cfg, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	} else {
		if !at.Limits {
			cfg.MaxSize = 0 // not known
		}
		q, err = store.OpenStopped(cfg)
	}
	var locked *disk.LockedError
	var newer *folder.NewerFormatError
	if err == nil || errors.As(err, &locked) || errors.As(err, &newer) {
		return q, held(dir, err)
	}
	return nil, fmt.Errorf("the index of the queue in %s is damaged: %w: its gateway will repair it when it starts", dir,
		err)
}

// held says it for people if err is that another process holds the queue.
func held(dir string, err error) error {
	var locked *disk.LockedError
	if !errors.As(err, &locked) {
		return err
	}
	return fmt.Errorf("queue %s is held by %s, which does not answer: if that gateway is starting or stopping, try "+
		"again in a moment",
		dir, locked.By)
}

// HoldsQueue reports whether dir is the folder of a queue: a look at another
// folder must not leave files in it.
func HoldsQueue(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "meta")); err == nil {
		return true
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "seg-*.db")) // the pattern is right
	return len(segments) > 0
}

// apparentSize returns the bytes of all files in dir, as far as they can be seen.
func apparentSize(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// ofAnother says that something is the user's of that name, who may be unknown, and
// what to do.
func ofAnother(name string) string {
	if name == "" {
		return "is another user's: run this as that user"
	}
	return fmt.Sprintf("is user %s's: run this as that user, with sudo -u '%s'", name, name)
}

// ownerOf returns whose a folder is, by name or as #1000; "" if that cannot be seen.
func ownerOf(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(owner.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "#" + id
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
	name := ownerOf(dir)
	return fmt.Errorf("queue %s is of user %s, who could not open what is changed now: run it as 'sudo -u %s "+
		"fieldbridge queue ...'",
		dir, name, name)
}
