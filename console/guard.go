package console

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
)

// guard answers only those who ask for this console by a name that is its own.
// A web page elsewhere can make a browser look its own name up as the console's
// address (DNS rebinding) and then read what the console says, but not choose
// what stands in Host: that is the page's name.
func guard(hosts []string, h http.Handler) http.Handler {
	own := append([]string{"localhost"}, hosts...)
	if name, err := os.Hostname(); err == nil {
		own = append(own, name, name+".local")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !mayAsk(r.Host, own) {
			http.Error(w, "this console does not know the name it was asked by: "+
				"use its address, or list the name in console.hosts", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// mayAsk reports whether a Host header is an address or one of the own names.
func mayAsk(host string, own []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return slices.ContainsFunc(own, func(name string) bool { return strings.EqualFold(name, host) })
}

// mostConnections is how many connections the console keeps: descriptors are
// shared with sensors and Modbus devices.
const mostConnections = 32

// crowd keeps the number of connections: where there are too many, the one that
// has waited longest for a request goes, so that nobody shuts others out by
// sitting there; where all are busy, the newest goes.
type crowd struct {
	mu      sync.Mutex
	all     map[net.Conn]bool // guarded by mu
	waiting []net.Conn        // guarded by mu; without a request, longest first
}

// note is the server's ConnState hook.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	if extra := c.count(conn, state); extra != nil {
		_ = extra.Close() // that it is gone is what is wanted
	}
}

// count notes the state of a connection, and returns the one that has to go; nil
// if there is room.
func (c *crowd) count(conn net.Conn, state http.ConnState) (extra net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(w net.Conn) bool { return w == conn })
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
		return nil
	case http.StateActive:
		return nil
	}
	if c.all == nil {
		c.all = make(map[net.Conn]bool)
	}
	c.all[conn] = true
	c.waiting = append(c.waiting, conn)
	if len(c.all) <= mostConnections {
		return nil
	}
	extra, c.waiting = c.waiting[0], c.waiting[1:]
	delete(c.all, extra)
	return extra
}
