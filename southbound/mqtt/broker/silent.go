package broker

import (
	"errors"
	"net"
	"slices"
)

// maxStrangers is how many connections may be there that have not logged in; of
// them the oldest goes if there are more, of the address that has most.
const maxStrangers = 64

var errStranger = errors.New("the connection has not logged in, and others want to")

// stranger is a connection that has not logged in.
type stranger struct {
	conn  *conn
	from  string // its address without port
	asked bool   // CONNECT has come
}

// strangers are the connections that have not logged in, the oldest first. The
// broker's mu guards them.
type strangers []stranger

// add takes c in, and returns who must go for it, nil if nobody.
func (s *strangers) add(c *conn) (out *conn) {
	*s = append(*s, stranger{conn: c, from: host(c)})
	if len(*s) <= maxStrangers {
		return nil
	}
	by := make(map[string]int)
	for _, x := range *s {
		by[x.from]++
	}
	worst := -1
	for i, x := range (*s)[:len(*s)-1] {
		if worst < 0 || by[x.from] > by[(*s)[worst].from] ||
			by[x.from] == by[(*s)[worst].from] && !x.asked && (*s)[worst].asked {
			worst = i
		}
	}
	out = (*s)[worst].conn
	*s = slices.Delete(*s, worst, worst+1)
	return out
}

func (s *strangers) remove(c *conn) {
	if i := slices.IndexFunc(*s, func(x stranger) bool { return x.conn == c }); i >= 0 {
		*s = slices.Delete(*s, i, i+1)
	}
}

// asks notes that c has sent CONNECT.
func (s *strangers) asks(c *conn) {
	if i := slices.IndexFunc(*s, func(x stranger) bool { return x.conn == c }); i >= 0 {
		(*s)[i].asked = true
	}
}

// host returns the address of a client without its port.
func host(c net.Conn) string {
	h, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return h
}
