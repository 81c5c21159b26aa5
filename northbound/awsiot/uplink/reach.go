package uplink

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"fieldbridge/pause"
)

const (
	// knockEvery is the longest between two tries to open a TCP connection to a
	// port that does not answer. A try costs a few hundred bytes, no TLS and no
	// CONNECT, so that it may come far more often than a CONNECT.
	knockEvery = 2 * time.Second
	// knocksAtOnce bounds the tries of one attempt whose outcome is open.
	knocksAtOnce = 16
)

// knockPause returns how long after a try the next one begins.
func knockPause() time.Duration { return knockEvery/2 + rand.N(knockEvery/2) }

// reach opens a TCP connection to the port of the endpoint within the time of one
// attempt, and returns since when that time counts. If the port was away, others
// wait for it, too: the connection is closed, and another one opened after this
// gateway's part of the spread.
func (a *Attempt) reach(ctx context.Context, open func(context.Context) (net.Conn, error)) (_ net.Conn, begin time.Time,
	err error) {
	begin = time.Now()
	limit := a.Config.ConnectTimeout.D()
	conn, err := knock(ctx, limit, open)
	if err != nil || !a.Away && time.Since(begin) < knockEvery {
		return conn, begin, err
	}
	_ = conn.Close()
	if !pause.Sleep(ctx, a.Config.Backoff.slot(a.Client, time.Now())) {
		return nil, begin, ctx.Err()
	}
	begin = time.Now()
	conn, err = knock(ctx, limit, open)
	return conn, begin, err
}

// knock opens a connection by the first of several tries that has an outcome. A
// try that gets no answer is left running, and another one begins: kernels send
// a lost packet again only after 1, 3 and 7 s, resolvers ask again after 5 s.
func knock(ctx context.Context, limit time.Duration, open func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	var tries sync.WaitGroup
	defer tries.Wait()
	defer cancel()
	outcomes, decided := make(chan tried), make(chan struct{})
	defer close(decided)
	next := time.NewTimer(0)
	defer next.Stop()
	for n := 0; ; {
		select {
		case t := <-outcomes:
			return t.conn, t.err
		case <-next.C:
			if n++; n < knocksAtOnce {
				next.Reset(knockPause())
			}
			tries.Go(func() {
				conn, err := open(ctx)
				select {
				case outcomes <- tried{conn, err}:
				case <-decided:
					if conn != nil {
						_ = conn.Close()
					}
				}
			})
		}
	}
}

// portAway reports whether err, of an attempt to connect, is that the port did
// not answer; own is that the reason is our own link, address or name service,
// for which nobody else waits.
func portAway(err error) (away, own bool) {
	var facts *connectError
	if !errors.As(err, &facts) || facts.stage != AtDial {
		return false, false
	}
	var refusal *proxyError
	if errors.As(err, &refusal) {
		return refusal.away, false
	}
	var names *net.DNSError
	if errors.As(err, &names) {
		var system syscall.Errno // the name server cannot be asked
		return true, names.IsTimeout || errors.As(err, &system)
	}
	return true, unreachable(err) || errors.Is(err, syscall.ENETDOWN)
}
