package payload

import (
	"strconv"
	"sync"

	"fieldbridge/bridge"
)

// columns is the format that lists, per device, a column of values for each
// point, so that names are told once:
//
//	{"v":1,"gateway":"g","run":"r","devices":[{"device":"boiler","seq":[1042,1,1],"at":[1763887500123,1000,1000],
//	  "points":{"t":[71.5,71.6,null]},"bad":{"e":{"0":"timeout"}}}]}
//
// "seq" and "at" begin with a value and go on with differences. null is absent;
// "bad" tells by the index in the column why. A device appears more than once
// where that is shorter: its batches may have different points.
type columns struct{ envelope }

const (
	columnsOpen = `,"devices":[`
	columnsTail = `]}`
	// A device without its name and columns, but with the first seq and at.
	columnsDevice = len(`,{"device":"","seq":[],"at":[],"points":{},"bad":{}}`)
	columnsBatch  = len(`01234567890123456789,01234567890123,`)
	// A column without its name and values.
	columnsPoint  = len(`,"":[]`)
	columnsReason = len(`,"":{"0":""}`)
	// What a batch takes in company: the differences of seq and at, and a comma
	// per value.
	columnsInCompany = len(`10,1000,`)
	columnsNull      = len(`,null`)
)

// Gathers implements [bridge.Gatherer]: names are told once per device.
func (f *columns) Gathers() bool { return !f.topic.hasDevice() }

// Room implements [bridge.Format].
func (f *columns) Room() int { return f.leastSpace() - len(columnsOpen) - len(columnsTail) }

// Fit implements [bridge.Format]. The size is what b takes in company, where
// names have been told: by it a message is filled, and what does not fit goes
// with the next one.
func (f *columns) Fit(b *bridge.Batch) (n, size int) {
	space := f.spaceFor(b) - len(columnsOpen) - len(columnsTail)
	alone := columnsDevice + columnsBatch + len(b.Device)
	size = columnsInCompany
	for i := range b.Readings {
		r := &b.Readings[i]
		value := valueSize(r.Value)
		next := alone + columnsPoint + len(r.Point) + value
		if !r.Value.Good() {
			next += columnsReason
		}
		if (next > space || f.oneEach()) && i > 0 {
			return i, size
		}
		alone = next
		size += value + 1
	}
	return len(b.Readings), size
}

// Pack implements [bridge.Format].
func (f *columns) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	t := tables.Get().(*table)
	defer tables.Put(t)
	pooled := scratch.Get().(*[]byte)
	defer scratch.Put(pooled)
	first := &entries[0]
	topic := f.Topic(&first.Batch)
	b := f.begin((*pooled)[:0], first)
	b = append(f.marks(b, first), columnsOpen...)
	fixed := len(b) + len(columnsTail)
	t.reset()
	limit := MaxBytes - fixed // of the first batch, as in rows
	n := 0
	for i := range entries {
		e := &entries[i]
		if i > 0 && !f.sameMessage(first, e) || !t.add(e, limit) {
			break
		}
		n++
		limit = f.payloadLimit(topic) - fixed
	}
	b = append(t.append(b), columnsTail...)
	*pooled = b
	if n == 0 {
		return bridge.Message{}, 1, errTooLarge(first)
	}
	return message(topic, b), n, nil
}

// table collects batches column by column and knows the size of what it will
// write. Its memory is used again for the next message.
type table struct {
	groups []*group // used ones are groups[:used]
	used   int
	size   int
	latest map[string]*group // the last group of each device
}

// group is one element of "devices".
type group struct {
	device  string
	before  *group // the device's group before this one
	seq, at []byte
	lastSeq uint64
	lastAt  int64
	batches int
	columns []column // used ones are columns[:used]
	used    int
	index   map[string]int // of columns by point; made when order does not tell
	values  bool           // some column has values
	bads    bool           // some column has reasons
	undo    undo
}

// column is one point of a group.
type column struct {
	point  string
	values []byte
	count  int // values and nulls written
	bad    []byte
	mark   [3]int // values, count, bad before the last batch
}

// undo is the state of a group before the last batch.
type undo struct {
	seq, at, used, batches int
	lastSeq                uint64
	lastAt                 int64
	values, bads           bool
}

var tables = sync.Pool{New: func() any { return &table{latest: make(map[string]*group)} }}

func (t *table) reset() {
	t.used, t.size = 0, 0
	clear(t.latest)
}

// add adds a batch if the table stays within limit; it reports whether it did.
func (t *table) add(e *bridge.Entry, limit int) bool {
	before := t.size
	g := t.find(e)
	joined := g != nil
	if !joined {
		g = t.open(e.Device)
		t.size += len(`{"device":"","seq":[],"at":[]}`) + len(e.Device)
		if t.used > 1 {
			t.size++ // comma
		}
	}
	t.size += g.begin(e)
	for i := range e.Readings {
		t.size += g.put(i, &e.Readings[i])
		if t.size > limit {
			break
		}
	}
	t.size += g.pad()
	if t.size <= limit {
		return true
	}
	t.size = before
	if joined {
		g.rollback()
		return false
	}
	t.used--
	if t.latest[g.device] = g.before; g.before == nil {
		delete(t.latest, g.device)
	}
	return false
}

// find returns the group that e is best added to, or nil for a new one: adding
// costs a null for each column that e does not have and a column of nulls for
// each that only e has, a new group costs all names.
func (t *table) find(e *bridge.Entry) *group {
	// A device whose points come in turns has as many groups as turns.
	const lookBack = 8
	for i, g := 0, t.latest[e.Device]; g != nil && i < lookBack; i, g = i+1, g.before {
		known, names := 0, 0
		for j := range e.Readings {
			name := e.Readings[j].Point
			if g.lookup(j, name) >= 0 {
				known++
			} else {
				names += len(name)
			}
		}
		fresh := len(e.Readings) - known
		join := (g.used-known)*columnsNull + fresh*(columnsPoint+g.batches*columnsNull) + names
		apart := columnsDevice + columnsBatch + len(e.Device) + len(e.Readings)*columnsPoint + names
		for j := range g.columns[:min(g.used, known)] {
			apart += len(g.columns[j].point)
		}
		if join <= apart {
			return g
		}
	}
	return nil
}

// open starts a new group.
func (t *table) open(device string) *group {
	if t.used == len(t.groups) {
		t.groups = append(t.groups, new(group))
	}
	g := t.groups[t.used]
	t.used++
	g.device, g.seq, g.at = device, g.seq[:0], g.at[:0]
	g.before = t.latest[device]
	t.latest[device] = g
	g.batches, g.used, g.index, g.values, g.bads = 0, 0, nil, false, false
	return g
}

// begin writes seq and at of a batch and returns the bytes.
func (g *group) begin(e *bridge.Entry) int {
	g.undo = undo{len(g.seq), len(g.at), g.used, g.batches, g.lastSeq, g.lastAt, g.values, g.bads}
	for i := range g.columns[:g.used] {
		c := &g.columns[i]
		c.mark = [3]int{len(c.values), c.count, len(c.bad)}
	}
	at := e.At.UnixMilli()
	if g.batches == 0 {
		g.seq = appendUint(g.seq, e.Seq)
		g.at = appendInt(g.at, at)
	} else {
		g.seq = appendInt(append(g.seq, ','), int64(e.Seq-g.lastSeq))
		g.at = appendInt(append(g.at, ','), at-g.lastAt)
	}
	g.lastSeq, g.lastAt = e.Seq, at
	g.batches++
	return len(g.seq) - g.undo.seq + len(g.at) - g.undo.at
}

// lookup returns the column of a point, or -1. Batches of a device mostly have
// their points in one order: the i-th reading is then in the i-th column.
func (g *group) lookup(i int, point string) int {
	if i < g.used && g.columns[i].point == point {
		return i
	}
	if g.index == nil {
		g.index = make(map[string]int, g.used)
		for j := range g.columns[:g.used] {
			g.index[g.columns[j].point] = j
		}
	}
	if j, ok := g.index[point]; ok {
		return j
	}
	return -1
}

// column returns the column of a point, and what a new one costs.
func (g *group) column(i int, point string) *column {
	j := -1
	if i >= g.used && g.batches == 1 {
		// The first batch has each point once.
	} else {
		j = g.lookup(i, point)
	}
	if j < 0 {
		j = g.used
		if j == len(g.columns) {
			g.columns = append(g.columns, column{})
		}
		g.used++
		c := &g.columns[j]
		c.point, c.values, c.bad, c.count, c.mark = point, c.values[:0], c.bad[:0], 0, [3]int{}
		if g.index != nil {
			g.index[point] = j
		}
	}
	return &g.columns[j]
}

// put writes one reading and returns the bytes.
func (g *group) put(i int, r *bridge.Reading) int {
	c := g.column(i, r.Point)
	if !r.Value.Good() {
		return g.putBad(c, r.Value)
	}
	size := -len(c.values)
	if len(c.values) == 0 {
		size += len(`"":[]`) + len(c.point)
		if g.values {
			size++ // comma
		} else {
			g.values = true
			size += len(`,"points":{}`)
		}
	}
	c.fill(g.batches - 1)
	if c.count > 0 {
		c.values = append(c.values, ',')
	}
	c.values = AppendValue(c.values, r.Value)
	c.count++
	return size + len(c.values)
}

func (g *group) putBad(c *column, v bridge.Value) int {
	size := -len(c.bad)
	if len(c.bad) == 0 {
		size += len(`"":{}`) + len(c.point)
		if g.bads {
			size++
		} else {
			g.bads = true
			size += len(`,"bad":{}`)
		}
	} else {
		c.bad = append(c.bad, ',')
	}
	c.bad = append(c.bad, '"')
	c.bad = strconv.AppendInt(c.bad, int64(g.batches-1), 10)
	c.bad = append(c.bad, `":"`...)
	c.bad = append(c.bad, v.Reason().String()...)
	c.bad = append(c.bad, '"')
	return size + len(c.bad)
}

// fill writes nulls until the column has n elements.
func (c *column) fill(n int) {
	for c.count < n {
		if c.count > 0 {
			c.values = append(c.values, ',')
		}
		c.values = append(c.values, "null"...)
		c.count++
	}
}

// pad writes nulls where the last batch has no value, and returns the bytes. A
// column without any value stays empty.
func (g *group) pad() int {
	size := 0
	for i := range g.columns[:g.used] {
		c := &g.columns[i]
		if len(c.values) == 0 {
			continue
		}
		size -= len(c.values)
		c.fill(g.batches)
		size += len(c.values)
	}
	return size
}

// rollback takes the last batch out.
func (g *group) rollback() {
	u := g.undo
	for i := range g.columns[:u.used] {
		c := &g.columns[i]
		c.values, c.count, c.bad = c.values[:c.mark[0]], c.mark[1], c.bad[:c.mark[2]]
	}
	g.seq, g.at, g.used, g.batches = g.seq[:u.seq], g.at[:u.at], u.used, u.batches
	g.lastSeq, g.lastAt, g.values, g.bads = u.lastSeq, u.lastAt, u.values, u.bads
	g.index = nil
}

// append writes the table.
func (t *table) append(b []byte) []byte {
	for i, g := range t.groups[:t.used] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"device":"`...)
		b = append(b, g.device...)
		b = append(b, `","seq":[`...)
		b = append(b, g.seq...)
		b = append(b, `],"at":[`...)
		b = append(b, g.at...)
		b = append(b, ']')
		b = g.appendColumns(b, `,"points":{"`, `":[`, ']', func(c *column) []byte { return c.values })
		b = g.appendColumns(b, `,"bad":{"`, `":{`, '}', func(c *column) []byte { return c.bad })
		b = append(b, '}')
	}
	return b
}

func (g *group) appendColumns(b []byte, first, open string, end byte, of func(*column) []byte) []byte {
	separator := first
	for i := range g.columns[:g.used] {
		c := &g.columns[i]
		content := of(c)
		if len(content) == 0 {
			continue
		}
		b = append(b, separator...)
		separator = `,"`
		b = append(b, c.point...)
		b = append(b, open...)
		b = append(b, content...)
		b = append(b, end)
	}
	if separator != first {
		b = append(b, '}')
	}
	return b
}
