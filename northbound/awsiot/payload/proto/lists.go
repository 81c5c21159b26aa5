package proto

import (
	"math"
	"unicode/utf8"

	"fieldbridge/bridge"
)

// lists are the values of a row.
type lists struct {
	uints, ints, floats, doubles, texts []byte
	counts                              int // of uints, ints and texts
	on, off                             []uint32
	bits                                int
	words                               [2][]byte // on and off as they are written
}

func (l *lists) reset() {
	l.uints, l.ints, l.floats, l.doubles, l.texts = l.uints[:0], l.ints[:0], l.floats[:0], l.doubles[:0], l.texts[:0]
	l.on, l.off, l.bits, l.counts = l.on[:0], l.off[:0], 0, 0
}

// put adds a value, unless the list of its point cannot hold it.
func (p *Packer) put(l *lists, point *Point, v bridge.Value) bool {
	switch point.Kind {
	case Uint:
		n, ok := int64(v.Bits()), v.Kind() == bridge.KindUint
		if !ok || point.Places > 0 { // else it is as most are
			n, ok = whole(v, point.Places)
		}
		if !ok || n < 0 || n >= NoUint {
			return false
		}
		l.uints = appendVarint(l.uints, uint64(n))
		l.counts++
	case Int:
		n, ok := whole(v, point.Places)
		if !ok || n <= NoInt || n > math.MaxInt32 {
			return false
		}
		l.ints = appendVarint(l.ints, zigzag(int32(n)))
		l.counts++
	case Bool:
		if v.Kind() != bridge.KindBool {
			return false
		}
		l.bit(v.Truth(), !v.Truth())
	case Float:
		if !point.holds(v) {
			return false
		}
		l.floats = appendFloat(l.floats, math.Float32frombits(uint32(v.Bits())))
	case Double:
		f, ok := asDouble(v)
		if !ok {
			return false
		}
		l.doubles = appendDouble(l.doubles, f)
	case Text, Digits:
		if !point.holds(v) {
			return false
		}
		l.texts = appendVarint(l.texts, uint64(p.texts.put(textOf(v))))
		l.counts++
	default:
		return false
	}
	return true
}

// textOf returns what stands in the dictionary for a value of Text or Digits.
func textOf(v bridge.Value) string {
	if v.Kind() == bridge.KindString {
		return clean(v.Str())
	}
	return string(v.AppendNumber(nil))
}

// bit adds a bool that is on, off, or neither.
func (l *lists) bit(on, off bool) {
	word, bit := l.bits/32, uint(l.bits%32)
	if word == len(l.on) {
		l.on, l.off = append(l.on, 0), append(l.off, 0)
	}
	if on {
		l.on[word] |= 1 << bit
	}
	if off {
		l.off[word] |= 1 << bit
	}
	l.bits++
}

// absent adds what stands for a point that has no value.
func (l *lists) absent(k Kind) {
	switch k {
	case Uint:
		l.uints = appendVarint(l.uints, NoUint)
		l.counts++
	case Int:
		l.ints = appendVarint(l.ints, zigzag(NoInt))
		l.counts++
	case Float:
		l.floats = appendFloat(l.floats, NoFloat)
	case Double:
		l.doubles = appendDouble(l.doubles, NoDouble)
	case Bool:
		l.bit(false, false)
	case Text, Digits:
		l.texts = append(l.texts, 0)
		l.counts++
	}
}

// absence returns how many bytes absent adds.
func absence(k Kind) int {
	switch k {
	case Uint, Int:
		return 5
	case Float:
		return 4
	case Double:
		return 8
	case Text, Digits:
		return 1
	}
	return 0
}

// packed returns on and off as they are written: zeros at the end are left out.
func (l *lists) packed() (on, off []byte) {
	l.words[0], l.words[1] = appendWords(l.words[0][:0], l.on), appendWords(l.words[1][:0], l.off)
	return l.words[0], l.words[1]
}

func appendWords(b []byte, words []uint32) []byte {
	for len(words) > 0 && words[len(words)-1] == 0 {
		words = words[:len(words)-1]
	}
	for _, w := range words {
		b = appendVarint(b, uint64(w))
	}
	return b
}

// What a row or a block takes as JSON with the names of its fields and numbers at
// their longest, and what a number of a list does.
const (
	rowJSON = len(`{"at":-2147483648,"seq":4294967295,"sheet":1234567,"points":[],"uints":[],"ints":[],`) +
		len(`"floats":[],"doubles":[],"on":[],"off":[],"texts":[]},`)
	jsonNumber = len(`-4294967295,`)
	jsonDouble = len(`-1.2345678901234567e+308,`)
)

// json returns what the values take as JSON at most: a varint of k bytes has up to
// 2k+1 digits, a sign and a comma.
func (l *lists) json() int {
	return 2*(len(l.uints)+len(l.ints)+len(l.texts)) + 3*l.counts + (len(l.floats)/4+len(l.doubles)/8)*jsonDouble +
		(len(l.on)+len(l.off))*jsonNumber
}

// dictionary is the texts of a message, each told once.
type dictionary struct {
	index      map[string]int
	all        []string
	size, json int
	marked     int
}

func (d *dictionary) reset() {
	clear(d.index)
	clear(d.all)
	d.all, d.size, d.json = d.all[:0], 0, 0
}

// put returns the number of a text, from 1.
func (d *dictionary) put(s string) int {
	if n := d.index[s]; n > 0 {
		return n
	}
	if d.index == nil {
		d.index = make(map[string]int)
	}
	d.all = append(d.all, s)
	d.index[s] = len(d.all)
	d.size += textSize(s)
	d.json += textJSON(s)
	return len(d.all)
}

func textSize(s string) int { return 1 + lengthSize(len(s)) }

// textJSON is the most that a text takes as JSON, where each letter that is not ASCII
// may be written as \u00e9.
func textJSON(s string) int {
	n := len(`"",`)
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\\' || c == 0x7f:
			n += len(`\u0000`)
		case c >= utf8.RuneSelf:
			n += len(`\u0000`) / 2 // two bytes at least are one letter
		default:
			n++
		}
	}
	return n
}

func (d *dictionary) mark()     { d.marked = len(d.all) }
func (d *dictionary) rollback() { d.cut(d.marked) }

// cut takes the texts out that came after the first n.
func (d *dictionary) cut(n int) {
	for _, s := range d.all[n:] {
		delete(d.index, s)
		d.size -= textSize(s)
		d.json -= textJSON(s)
	}
	clear(d.all[n:])
	d.all = d.all[:n]
}

func (d *dictionary) append(b []byte) []byte {
	for _, s := range d.all {
		b = appendText(b, readingsTexts, s)
	}
	return b
}
