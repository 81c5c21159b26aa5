package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// journals reports whether w is a stream to systemd's journal, which $JOURNAL_STREAM
// names by device and inode. A stream that was led elsewhere since is not.
func journals(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", is.Dev, is.Ino)
}

// priority writes lines of one severity for the journal, as sd-daemon(3) says.
type priority struct {
	w      io.Writer
	prefix string
}

func (p priority) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// byPriority hands each line to the handler of its priority.
type byPriority map[string]slog.Handler

func newByPriority(to func(prefix string) slog.Handler) byPriority {
	all := make(byPriority)
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		all[priorityOf(l)] = to(priorityOf(l))
	}
	return all
}

// with returns the handlers that f makes of these.
func (h byPriority) with(f func(slog.Handler) slog.Handler) byPriority {
	all := make(byPriority)
	for prefix, one := range h {
		all[prefix] = f(one)
	}
	return all
}

// Enabled implements slog.Handler.
func (h byPriority) Enabled(ctx context.Context, level slog.Level) bool {
	return h[priorityOf(level)].Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h byPriority) Handle(ctx context.Context, r slog.Record) error {
	return h[priorityOf(r.Level)].Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h byPriority) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(one slog.Handler) slog.Handler { return one.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h byPriority) WithGroup(name string) slog.Handler {
	return h.with(func(one slog.Handler) slog.Handler { return one.WithGroup(name) })
}

// priorityOf returns the prefix of a level's lines.
func priorityOf(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}
