package proto

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"fieldbridge/bridge"
	"fieldbridge/order"
)

// Reading is a reading of a message.
type Reading struct {
	Point string
	Value bridge.Value // of no meaning if it is bad
	Bad   string       // why; "" is good
}

// Batch is a batch of a message.
type Batch struct {
	Device   string
	Seq      uint64
	At       int64 // epoch milliseconds
	Readings []Reading
}

// Unknown is the error of a message whose numbers are not known: a catalogue is
// missing.
type Unknown struct {
	Gateway string
	Sheet   uint32
	Point   int // 0 if the whole sheet is not known
}

// Error implements error.
func (u *Unknown) Error() string {
	if u.Point == 0 {
		return fmt.Sprintf("sheet %d of gateway %s is not known: its catalogue is missing", u.Sheet, u.Gateway)
	}
	return fmt.Sprintf("point %d of sheet %d of gateway %s is not known: its catalogue is older", u.Point, u.Sheet,
		u.Gateway)
}

// Batches returns the batches of m in the order of their numbers. known has the sheets
// of its gateway; a sheet that the message brings counts first. It returns an [*Unknown]
// if one is not there.
func (m *Message) Batches(known func(sheet uint32) *Sheet) ([]Batch, error) {
	r := reader{m: m, known: known, batches: make(map[batchKey]*Batch)}
	for _, part := range []struct {
		all  [][]byte
		read func([]byte) error
	}{{m.rows, r.row}, {m.blocks, r.block}, {m.bads, r.bad}} {
		for _, b := range part.all {
			if err := part.read(b); err != nil {
				return nil, err
			}
		}
	}
	all := make([]Batch, 0, len(r.batches))
	for _, b := range r.batches {
		all = append(all, *b)
	}
	order.By(all, func(a, b Batch) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Device, b.Device))
	})
	return all, nil
}

type batchKey struct {
	device string
	seq    uint64
}

type reader struct {
	m       *Message
	known   func(uint32) *Sheet
	batches map[batchKey]*Batch
	count   int // readings
}

// mostReadings bounds what a message of a few bytes may claim to have.
const mostReadings = 1 << 20

// add adds a reading to a batch.
func (r *reader) add(b *Batch, reading Reading) error {
	if r.count++; r.count > mostReadings {
		return fmt.Errorf("more than %d readings", mostReadings)
	}
	b.Readings = append(b.Readings, reading)
	return nil
}

func (r *reader) sheet(number uint32) (*Sheet, error) {
	if s := r.m.sheets[number]; s != nil {
		return s, nil
	}
	if r.known != nil {
		if s := r.known(number); s != nil {
			return s, nil
		}
	}
	return nil, &Unknown{Gateway: r.m.Gateway, Sheet: number}
}

// batch returns the batch with a time and a number, which stand as differences from
// those of the message.
func (r *reader) batch(s *Sheet, at int32, seq uint32) *Batch {
	key := batchKey{s.Device, r.m.Seq + uint64(seq)}
	b := r.batches[key]
	if b == nil {
		b = &Batch{Device: s.Device, Seq: key.seq, At: r.m.At + int64(at)}
		r.batches[key] = b
	}
	return b
}

// values are the lists of a row or a block.
type values struct {
	uints, ints, on, off, texts, points []uint32
	floats, doubles                     []byte
}

// row reads a row, or one by numbers.
func (r *reader) row(b []byte) error {
	var at, seq, number uint32
	var v values
	err := each(b, func(f field) (err error) {
		switch f.number {
		case rowAt:
			at = uint32(unzigzag(f.value))
		case rowSeq:
			seq = uint32(f.value)
		case rowSheet:
			number = uint32(f.value)
		case rowPoints:
			v.points, err = varints(f.body)
		case rowUints:
			v.uints, err = varints(f.body)
		case rowInts:
			v.ints, err = varints(f.body)
		case rowFloats:
			v.floats = f.body
		case rowDoubles:
			v.doubles = f.body
		case rowOn:
			v.on, err = varints(f.body)
		case rowOff:
			v.off, err = varints(f.body)
		case rowTexts:
			v.texts, err = varints(f.body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("a row: %w", err)
	}
	s, err := r.sheet(number)
	if err != nil {
		return err
	}
	batch := r.batch(s, int32(at), seq)
	points, err := r.points(s, &v)
	if err != nil {
		return err
	}
	bit := 0
	for _, n := range points {
		p := &s.Points[n-1]
		value, ok, err := r.value(p, &v, &bit)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := r.add(batch, Reading{Point: p.Name, Value: value}); err != nil {
			return err
		}
	}
	if more := len(v.uints) + len(v.ints) + len(v.texts) + len(v.floats)/4 + len(v.doubles)/8; more > 0 {
		return &Unknown{Gateway: r.m.Gateway, Sheet: number, Point: len(s.Points) + 1}
	}
	return nil
}

// points returns the numbers of the points that v has values of: those that are named,
// or all of the sheet.
func (r *reader) points(s *Sheet, v *values) ([]uint32, error) {
	if len(v.points) == 0 {
		all := make([]uint32, len(s.Points))
		for i := range all {
			all[i] = uint32(i + 1)
		}
		return all, nil
	}
	var all []uint32
	for i := 0; i < len(v.points); i++ {
		n, more := v.points[i], uint32(0)
		if n == 0 {
			if i == 0 || i+1 == len(v.points) {
				return nil, fmt.Errorf("a list of points with a 0 that repeats nothing")
			}
			i++
			n, more = all[len(all)-1]+1, v.points[i]-1
		}
		if int64(n)+int64(more) > int64(len(s.Points)) {
			return nil, &Unknown{Gateway: r.m.Gateway, Sheet: s.Number, Point: int(int64(n) + int64(more))}
		}
		for j := n; j <= n+more; j++ {
			all = append(all, j)
		}
	}
	if len(all) > math.MaxUint16 {
		return nil, fmt.Errorf("a list of %d points", len(all))
	}
	return all, nil
}

// value takes the next value of the list of p. It reports false for one that is
// absent, or beyond the end of the list.
func (r *reader) value(p *Point, v *values, bit *int) (value bridge.Value, ok bool, err error) {
	switch p.Kind {
	case Uint:
		n, ok := take(&v.uints)
		return decimalOf(p, int64(n)), ok && n != NoUint, nil
	case Int:
		n, ok := take(&v.ints)
		i := unzigzag(uint64(n))
		return decimalOf(p, int64(i)), ok && i != NoInt, nil
	case Float:
		bits, ok := takeBits(&v.floats, 4)
		f := math.Float32frombits(uint32(bits))
		return bridge.Float32(f), ok && f != NoFloat, nil
	case Double:
		bits, ok := takeBits(&v.doubles, 8)
		f := math.Float64frombits(bits)
		return bridge.Float64(f), ok && f != NoDouble, nil
	case Bool:
		word, mask := *bit/32, uint32(1)<<(*bit%32)
		*bit++
		on := word < len(v.on) && v.on[word]&mask != 0
		off := word < len(v.off) && v.off[word]&mask != 0
		return bridge.Bool(on), on || off, nil
	case Text, Digits:
		n, ok := take(&v.texts)
		if !ok || n == 0 {
			return value, false, nil
		}
		value, err = r.text(p, n)
		return value, true, err
	}
	return value, false, nil // none
}

func take(list *[]uint32) (uint32, bool) {
	if len(*list) == 0 {
		return 0, false
	}
	v := (*list)[0]
	*list = (*list)[1:]
	return v, true
}

func takeBits(list *[]byte, n int) (bits uint64, ok bool) {
	if len(*list) < n {
		return 0, false
	}
	for i := range n {
		bits |= uint64((*list)[i]) << (8 * i)
	}
	*list = (*list)[n:]
	return bits, true
}

// decimalOf returns the value of a whole number of Uint or Int.
func decimalOf(p *Point, n int64) bridge.Value {
	switch {
	case p.Places > 0:
		return bridge.Float64(float64(n) / pow10[p.Places])
	case p.Kind == Uint:
		return bridge.Uint(uint64(n))
	}
	return bridge.Int(n)
}

// text returns the value of a text with a number of the dictionary.
func (r *reader) text(p *Point, n uint32) (bridge.Value, error) {
	if int64(n) > int64(len(r.m.texts)) {
		return bridge.Value{}, fmt.Errorf("there are %d texts, %d is asked for", len(r.m.texts), n)
	}
	s := r.m.texts[n-1]
	if p.Kind == Text {
		return bridge.String(s), nil
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return bridge.Uint(v), nil
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return bridge.Int(v), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return bridge.Value{}, fmt.Errorf("%q is no number", s)
	}
	return bridge.Float64(v), nil
}

// bad reads the readings that are bad for one reason.
func (r *reader) bad(b []byte) error {
	var at int32
	var seq, number uint32
	var v values
	why := ""
	err := each(b, func(f field) (err error) {
		switch f.number {
		case badAt:
			at = unzigzag(f.value)
		case badSeq:
			seq = uint32(f.value)
		case badSheet:
			number = uint32(f.value)
		case badWhy:
			why = string(f.body)
		case badPoints:
			v.points, err = varints(f.body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("bad readings: %w", err)
	}
	s, err := r.sheet(number)
	if err != nil {
		return err
	}
	points, err := r.points(s, &v)
	if err != nil {
		return err
	}
	batch := r.batch(s, at, seq)
	for _, n := range points {
		if err := r.add(batch, Reading{Point: s.Points[n-1].Name, Bad: cmp.Or(why, "unknown")}); err != nil {
			return err
		}
	}
	return nil
}

// block reads batches in columns.
func (r *reader) block(b []byte) error {
	var number uint32
	var v values
	var at, seq []uint32
	err := each(b, func(f field) (err error) {
		switch f.number {
		case blockSheet:
			number = uint32(f.value)
		case blockAt:
			at, err = varints(f.body)
		case blockSeq:
			seq, err = varints(f.body)
		case blockPoints:
			v.points, err = varints(f.body)
		case blockUints:
			v.uints, err = varints(f.body)
		case blockInts:
			v.ints, err = varints(f.body)
		case blockFloats:
			v.floats = f.body
		case blockDoubles:
			v.doubles = f.body
		case blockOn:
			v.on, err = varints(f.body)
		case blockTexts:
			v.texts, err = varints(f.body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("a block: %w", err)
	}
	if len(at) != len(seq) {
		return fmt.Errorf("a block of %d times and %d numbers", len(at), len(seq))
	}
	s, err := r.sheet(number)
	if err != nil {
		return err
	}
	points, err := r.points(s, &v)
	if err != nil {
		return err
	}
	batches := make([]*Batch, len(at))
	var lastAt, lastSeq uint32
	for i := range at {
		lastAt += uint32(unzigzag(uint64(at[i])))
		lastSeq += uint32(unzigzag(uint64(seq[i])))
		batches[i] = r.batch(s, int32(lastAt), lastSeq)
	}
	return r.columns(s, points, &v, batches)
}

// columns reads the columns of a block, each with a value for each batch.
func (r *reader) columns(s *Sheet, points []uint32, v *values, batches []*Batch) error {
	bit := 0
	for _, n := range points {
		p := &s.Points[n-1]
		last := uint32(0)
		for _, batch := range batches {
			var value bridge.Value
			var ok bool
			var err error
			switch p.Kind {
			case Uint, Int:
				var step uint32
				list := &v.uints
				if p.Kind == Int {
					list = &v.ints
				}
				step, ok = take(list)
				last += uint32(unzigzag(uint64(step)))
				value = decimalOf(p, int64(last))
				if p.Kind == Int {
					value = decimalOf(p, int64(int32(last)))
				}
			case Bool:
				if ok = bit/32 < len(v.on); ok {
					value = bridge.Bool(v.on[bit/32]>>(bit%32)&1 != 0)
				}
				bit++
			default:
				value, ok, err = r.value(p, v, nil)
			}
			if err != nil || !ok {
				return cmp.Or(err, fmt.Errorf("a block has too few values of %s", p.Name))
			}
			if err := r.add(batch, Reading{Point: p.Name, Value: value}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Used returns the numbers of the sheets that m needs and does not bring, sorted.
func (m *Message) Used() []uint32 {
	var all []uint32
	note := func(parts [][]byte, number int) {
		for _, b := range parts {
			_ = each(b, func(f field) error {
				if f.number == number && m.sheets[uint32(f.value)] == nil && !slices.Contains(all, uint32(f.value)) {
					all = append(all, uint32(f.value))
				}
				return nil
			})
		}
	}
	note(m.rows, rowSheet)
	note(m.blocks, blockSheet)
	note(m.bads, badSheet)
	slices.Sort(all)
	return all
}
