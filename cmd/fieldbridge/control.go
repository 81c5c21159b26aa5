package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"fieldbridge/console"
)

// The control socket is how a second process talks to the running gateway:
// HTTP over a Unix socket in the queue directory, for its owner alone.
const controlSocket = "control.sock"

// A socket's path has at most 107 bytes (unix(7)); longer ones are reached by
// way of the directory's descriptor.
const maxSocketPath = 107

// serveControl serves the control socket until ctx ends.
func (g *gateway) serveControl(ctx context.Context) {
	l, err := listenControl(string(g.config.Store.Dir))
	if err != nil {
		g.log.Error("control socket: 'fieldbridge status' will not find this gateway", "err", err)
		return
	}
	console.ServeOn(ctx, l, g.controlHandler())
}

// listenControl listens in dir. The queue's lock says that no other gateway
// uses the directory, so a socket found there is a dead one.
func listenControl(dir string) (net.Listener, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// The mode must be right from the first moment on.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if path != filepath.Join(dir, controlSocket) {
		l.(*net.UnixListener).SetUnlinkOnClose(false) // its path is gone by then
	}
	return l, nil
}

// socketPath returns a path to the socket in dir that is short enough; done
// releases it.
func socketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, controlSocket)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), controlSocket), func() { d.Close() }, nil
}

// controlClient returns an HTTP client for the gateway whose queue is in dir.
func controlClient(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			path, done, err := socketPath(dir)
			if err != nil {
				return nil, err
			}
			defer done()
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}}}
}

// errNotRunning says that no gateway listens on a control socket.
var errNotRunning = errors.New("no gateway is running there")

// controlGet asks the gateway whose queue is in dir for one page.
func controlGet(ctx context.Context, dir, page string) ([]byte, error) {
	return controlDo(ctx, dir, http.MethodGet, page, nil)
}

// controlDo sends one request to the gateway whose queue is in dir.
func controlDo(ctx context.Context, dir, method, page string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://gateway"+page, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := controlClient(dir).Do(req)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("queue %s: %w", dir, errNotRunning)
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		return nil, fmt.Errorf("gateway says %s: %s", res.Status, strings.TrimSpace(string(data)))
	}
	return data, nil
}
