package weigh

import "slices"

// MaxStrangers is how many connections may be there that have not logged in; of
// them the oldest goes if there are more, of the address that has most.
const MaxStrangers = 64

// Strangers are the connections that have not logged in, the oldest first. Its
// owner guards it.
type Strangers[C comparable] []stranger[C]

type stranger[C comparable] struct {
	conn  C
	from  string // its address without port
	asked bool   // CONNECT has come
}

// Add takes c in, and returns who must go for it, if anybody must: of the address
// that has most, first those that have asked for nothing.
func (s *Strangers[C]) Add(c C, from string) (out C, full bool) {
	*s = append(*s, stranger[C]{conn: c, from: from})
	if len(*s) <= MaxStrangers {
		return out, false
	}
	by := make(map[string]int)
	for _, x := range *s {
		by[x.from]++
	}
	worst := 0
	for i, x := range (*s)[:len(*s)-1] {
		w := (*s)[worst]
		if by[x.from] > by[w.from] || by[x.from] == by[w.from] && !x.asked && w.asked {
			worst = i
		}
	}
	out = (*s)[worst].conn
	*s = slices.Delete(*s, worst, worst+1)
	return out, true
}

// Remove is told that c has logged in, or is gone.
func (s *Strangers[C]) Remove(c C) {
	*s = slices.DeleteFunc(*s, func(x stranger[C]) bool { return x.conn == c })
}

// Asks is told that c has sent CONNECT.
func (s *Strangers[C]) Asks(c C) {
	for i := range *s {
		if (*s)[i].conn == c {
			(*s)[i].asked = true
		}
	}
}
