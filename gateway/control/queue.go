package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/gateway/export"
	"fieldbridge/store"
	"fieldbridge/store/folder"
)

// Queue is one thing to do with a queue. It is done by the gateway that owns the
// folder, or on the folder itself when none runs: see [At].
type Queue struct {
	Op     Op            `json:"op"`
	Format string        `json:"format,omitempty"` // of an export
	Filter folder.Filter `json:"filter,omitzero"`  // of an export and of forgetting it
	Limit  int           `json:"limit,omitempty"`  // of DeadList
	// Exported is what an export has read, and may be forgotten.
	Exported folder.Exported `json:"exported,omitzero"`
}

// Op is what to do with a queue.
type Op string

// The operations. Export writes lines, Inspect answers a [store.Report], Verify
// [Verified]s, DeadList [DeadLetters], the others, which change the queue, a
// [bridge.Count].
const (
	Inspect   Op = "inspect"
	Verify    Op = "verify"
	Export    Op = "export"
	Forget    Op = "forget"
	Purge     Op = "purge"
	DeadList  Op = "dead-list"
	DeadRetry Op = "dead-retry"
	DeadPurge Op = "dead-purge"
)

// changes reports whether the operation changes the queue.
func (o Op) changes() bool { return slices.Contains([]Op{Forget, Purge, DeadRetry, DeadPurge}, o) }

// queuePage is answered by a stream of parts; the last one says how it ended.
const queuePage Page[Queue, queuePart] = "/queue"

// queuePart is some of what is written, or the end of it.
type queuePart struct {
	Data     []byte          `json:"data,omitempty"`
	End      bool            `json:"end,omitempty"`
	Exported folder.Exported `json:"exported,omitzero"` // at the end of an export
	Error    string          `json:"error,omitempty"`   // at the end: why it is not complete
}

// Verified is what the verification of one file says.
type Verified struct {
	File       string       `json:"file"`
	Bytes      int64        `json:"bytes"`
	Count      bridge.Count `json:"count"` // that can be read
	Damage     string       `json:"damage,omitempty"`
	Quarantine bool         `json:"quarantine,omitempty"`
}

// DeadLetters are the oldest dead letters, and how many there are.
type DeadLetters struct {
	Total   bridge.Count `json:"total"`
	Letters []DeadLetter `json:"letters"`
}

// DeadLetter is a dead letter, for people.
type DeadLetter struct {
	Gateway  string    `json:"gateway,omitempty"` // that measured it, if that is known
	Run      string    `json:"run"`
	Seq      uint64    `json:"seq"`
	Device   string    `json:"device"`
	At       time.Time `json:"at"`
	Readings int       `json:"readings"`
	Cause    string    `json:"cause"`
}

// viewed is a queue to look at: one that is open, or the folder of one that is
// stopped.
type viewed interface {
	Inspect() folder.Report
	Verify(ctx context.Context, found func(folder.Verified)) error
	Entries(ctx context.Context, f folder.Filter, visit func([]bridge.Entry) error) (folder.Exported, error)
	Dead(ctx context.Context, visit func(folder.DeadLetter) error) error
	Close() error
}

// do does it on q and writes the answer: an export as it is, all else as JSON. It
// returns what was exported.
func (r *Queue) do(ctx context.Context, q viewed, gateway string, w io.Writer) (x folder.Exported, err error) {
	var answer any
	queue, open := q.(*store.Queue)
	if r.Op.changes() && !open {
		return x, fmt.Errorf("%q changes a queue, and this one is open to be read", r.Op)
	}
	switch r.Op {
	case Inspect:
		answer = q.Inspect()
	case Verify:
		answer, err = verifyAll(ctx, q)
	case Export:
		return r.export(ctx, q, gateway, w)
	case Forget:
		answer, err = queue.Forget(ctx, r.Filter, r.Exported)
	case Purge:
		answer, err = queue.Purge(ctx)
	case DeadList:
		answer, err = listDead(ctx, q, r.Limit)
	case DeadRetry:
		answer, err = queue.RetryDead(ctx)
	case DeadPurge:
		answer, err = queue.PurgeDead(ctx)
	default:
		return x, fmt.Errorf("%q cannot be done with a queue", r.Op)
	}
	if err != nil {
		return x, err
	}
	return x, json.NewEncoder(w).Encode(answer)
}

func (r *Queue) export(ctx context.Context, q viewed, gateway string, w io.Writer) (folder.Exported, error) {
	x, err := export.New(w, r.Format, gateway)
	if err != nil {
		return folder.Exported{}, err
	}
	exported, err := q.Entries(ctx, r.Filter, x.Write)
	if err != nil {
		return exported, err
	}
	return exported, x.Flush()
}

func verifyAll(ctx context.Context, q viewed) ([]Verified, error) {
	all := []Verified{}
	err := q.Verify(ctx, func(f folder.Verified) {
		v := Verified{File: f.File, Bytes: f.Bytes, Count: f.Count, Quarantine: f.Quarantine}
		if f.Damage != nil {
			v.Damage = f.Damage.Error()
		}
		all = append(all, v)
	})
	return all, err
}

// errEnough ends the reading of dead letters.
var errEnough = errors.New("enough")

// listDead returns at most limit dead letters: a running queue does not write
// while it reads them.
func listDead(ctx context.Context, q viewed, limit int) (DeadLetters, error) {
	list := DeadLetters{Letters: []DeadLetter{}}
	err := q.Dead(ctx, func(l folder.DeadLetter) error {
		if len(list.Letters) >= limit {
			return errEnough
		}
		letter := DeadLetter{Run: l.Run, Seq: l.Seq, Device: l.Device, At: l.At, Readings: len(l.Readings), Cause: l.Cause}
		if l.Origin != nil {
			letter.Gateway = l.Origin.Gateway
		}
		list.Letters = append(list.Letters, letter)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	list.Total = q.Inspect().Dead
	return list, err
}

// HandleQueue makes mux do requests on the queue of a running gateway of that
// name.
func HandleQueue(mux *http.ServeMux, q *store.Queue, gateway string, log *slog.Logger) {
	queuePage.handle(mux, func(w http.ResponseWriter, r *http.Request, request Queue) {
		if request.Op == Forget && request.Exported.Run == "" { // the gateway did not run when it was exported
			http.Error(w, store.ErrRestarted.Error(), http.StatusConflict)
			return
		}
		if request.Op == Export {
			// What is in memory only is exported, too.
			if err := q.Commit(r.Context()); err != nil {
				log.Warn("export without what is in memory", "err", err)
			}
		}
		parts := json.NewEncoder(w)
		text := bufio.NewWriterSize(partWriter{parts}, partSize)
		exported, err := request.do(r.Context(), q, gateway, text)
		err = errors.Join(err, text.Flush())
		end := queuePart{End: true, Exported: exported}
		if err != nil {
			end.Error = err.Error()
		}
		_ = parts.Encode(end) // who asked may be gone
		if request.Op.changes() {
			log.Info("queue changed by the user", "what", request.Op, "err", err)
		}
	})
}

// partSize is how much of an export goes in one part, in bytes.
const partSize = 32 << 10

// partWriter writes each piece as a part of the answer.
type partWriter struct{ parts *json.Encoder }

func (w partWriter) Write(p []byte) (int, error) {
	if err := w.parts.Encode(queuePart{Data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}
