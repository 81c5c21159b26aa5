package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"fieldbridge/pause"
)

// late is an answer that may still come: its request was sent and not answered in
// time.
type late struct {
	request []byte
	until   time.Time // so long it is waited for, before a request whose answer would look like it
	gone    time.Time // so long it may come
}

// heard is the last answer of a unit.
type heard struct {
	request, answer []byte
	at              time.Time
	alike           map[string]same // by request; nil while there are none
}

// same is an answer that was found to be no copy though it is equal to that of
// another request.
type same struct {
	answer string
	at     time.Time
}

// sameFor is how long that is believed: registers that are equal stay so mostly,
// and must not take the line twice.
const sameFor = time.Minute

// An answer may come that many timeouts after its request, or least that time.
const (
	lateFor   = 10
	leastLate = 2 * time.Second
)

// alike reports whether an answer to was could be taken for one to request.
func (was *late) alike(request []byte, s sizes) bool {
	return was.request[1] == request[1] && s.wanted(was.request) == s.wanted(request)
}

// fits reports whether answer has the form of an answer to request; an exception
// fits all requests of its function.
func (s sizes) fits(answer, request []byte) bool {
	n := s.answerSize(request, answer)
	return n == len(answer) || n == anySize
}

// clear makes sure that no byte of an earlier answer is taken for the one to
// request. Where answers have no transaction id, one that may still come and
// would look the same is waited for, unless it is to the very same request. What
// came meanwhile is thrown away.
func (l *Link) clear(request []byte) error {
	l.have = nil
	unit := request[0]
	now := time.Now()
	l.late[unit] = slices.DeleteFunc(l.late[unit], func(was late) bool { return !now.Before(was.gone) })
	if err := l.await(request); err != nil {
		return err
	}
	// The deadline must not have passed, or nothing is read at all.
	if err := l.stream.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	return discard(l.stream, l.buf[:])
}

// await reads while answers may come that would look like that to request and are
// to others, as long as such are waited for.
func (l *Link) await(request []byte) error {
	defer func() { l.have = nil }()
	for {
		now, until := time.Now(), time.Time{}
		for _, was := range l.late[request[0]] {
			if was.until.After(now) && was.until.After(until) && was.alike(request, l.sizes) &&
				!bytes.Equal(was.request, request) {
				until = was.until
			}
		}
		if until.IsZero() {
			return nil
		}
		if err := l.skip(request, until); err != nil {
			return err
		}
	}
}

// skip reads until one answer that would look like that to request is there, or
// the deadline; that answer is expected no more.
func (l *Link) skip(request []byte, until time.Time) error {
	if err := l.stream.SetDeadline(until); err != nil {
		return err
	}
	for {
		answer, used, err := l.framing.cut(request, l.have)
		l.have = l.have[used:]
		if err != nil {
			return err
		}
		if answer != nil {
			l.arrived(request[0], answer)
			return nil
		}
		if err := l.fill(); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// arrived notes that an answer came: it is that of the first request that it
// fits, or of a later one, and units answer in the order in which they are asked.
func (l *Link) arrived(unit byte, answer []byte) {
	lates := l.late[unit]
	if i := slices.IndexFunc(lates, func(was late) bool { return l.sizes.fits(answer, was.request) }); i >= 0 {
		l.late[unit] = slices.Delete(lates, 0, i+1)
	}
}

// doubt is why an answer may be another request's.
type doubt uint8

const (
	certain  doubt = iota
	anothers       // of one that was not answered in time
	copied         // a copy of the last answer
)

// whose takes in the answer to request, and says whether it may be that of
// another. So many answers as may still come of others are taken for theirs; the
// one after them is the request's own.
func (l *Link) whose(request, answer []byte, timeout, took time.Duration) doubt {
	unit, now := request[0], time.Now()
	found := certain
	first := -1
	for i, was := range l.late[unit] {
		if !l.sizes.fits(answer, was.request) {
			continue
		}
		if first < 0 {
			first = i
		}
		if !bytes.Equal(was.request, request) {
			found = anothers
		}
	}
	if first < 0 {
		l.late[unit] = l.late[unit][:0] // what was asked before was to be answered before
	} else {
		// One answer too many may still come, as long as before.
		was := l.late[unit][first]
		was.request = bytes.Clone(request)
		if found == certain {
			was.until = now.Add(timeout)
		}
		l.late[unit] = append(slices.Delete(l.late[unit], 0, first+1), was)
	}
	if found == certain && l.copies(request, answer, now, max(lateFor*timeout, leastLate), took) {
		found = copied
	}
	last := l.heard[unit]
	last.request, last.answer = append(last.request[:0], request...), append(last.answer[:0], answer...)
	last.at = now
	l.heard[unit] = last
	return found
}

// copies reports whether the answer to request may be a copy of the unit's last
// one. On a serial line a copy that comes after its request has gone out, and
// takes as long as its own answer, would have run into the request.
func (l *Link) copies(request, answer []byte, now time.Time, lately, took time.Duration) bool {
	last := l.heard[request[0]]
	if !bytes.Equal(last.answer, answer) || bytes.Equal(last.request, request) || !l.sizes.fits(answer, last.request) ||
		now.Sub(last.at) >= lately {
		return false
	}
	if char := l.o.Char; char > 0 &&
		took >= char*time.Duration(l.framing.chars(len(request))+l.framing.chars(len(answer))) {
		return false
	}
	known := last.alike[string(request)]
	return known.answer != string(answer) || now.Sub(known.at) >= sameFor
}

// believe notes that an answer is no copy.
func (l *Link) believe(request, answer []byte) {
	const most = 256 // requests of a unit
	last := l.heard[request[0]]
	if last.alike == nil || len(last.alike) >= most {
		last.alike = make(map[string]same)
	}
	last.alike[string(request)] = same{string(answer), time.Now()}
	l.heard[request[0]] = last
}

// errDoubt is that answers came and might be another request's.
var errDoubt = &ProtocolError{Text: "an answer that may be that of another request"}

// mostAgain is how often a request is sent again for an answer that is its own.
const mostAgain = 8

// own returns the answer to request when the first that came may be another's:
// then the request is sent once more, after a pause in which nothing came, for
// each answer that may still come. What writes is never sent again.
func (l *Link) own(ctx context.Context, request, answer []byte, timeout, took time.Duration) ([]byte, error) {
	why := l.whose(request, answer, timeout, took)
	if why != certain && !repeatable(request[1]) {
		if why == anothers && answer[1]&0x80 != 0 {
			return nil, errDoubt
		}
		return answer, nil
	}
	for range mostAgain {
		if why == certain {
			return answer, nil
		}
		first := string(answer)
		still, err := l.hush(request, max(endOfFrame, 2*took))
		if err != nil {
			return nil, err
		}
		if !pause.Sleep(ctx, l.o.Silence) {
			return nil, ctx.Err()
		}
		if answer, err = l.transact(request, time.Now().Add(timeout)); err != nil {
			return nil, err
		}
		before := why
		if why = l.whose(request, answer, timeout, took); why == copied {
			why = certain
		}
		if before == copied && why == certain && still && first == string(answer) {
			l.believe(request, answer)
		}
	}
	if why == certain {
		return answer, nil
	}
	return nil, errDoubt
}

// hush reads until nothing came for a while, and reports whether nothing came at
// all. A peer that goes on and on is an error.
func (l *Link) hush(request []byte, quiet time.Duration) (still bool, err error) {
	defer func() { l.have = nil }()
	still = len(l.have) == 0
	for {
		before := l.got
		if err := l.skip(request, time.Now().Add(quiet)); err != nil {
			return false, err
		}
		if l.got == before && len(l.have) == 0 {
			return still, nil
		}
		if still = false; l.got > maxStray {
			return false, errStray
		}
		if l.got == before {
			l.have = nil // the end of no frame
		}
	}
}

// repeatable reports whether a request of that function changes nothing.
func repeatable(function byte) bool { return function <= 4 || function == 43 }

// unanswered notes that an answer to request may still come, and says what came
// instead.
func (l *Link) unanswered(request []byte, timeout time.Duration) error {
	unit, now := request[0], time.Now()
	l.late[unit] = append(l.late[unit], late{bytes.Clone(request), now.Add(timeout),
		now.Add(max(lateFor*timeout, leastLate))})
	have := l.have
	l.have = nil
	if len(have) == 0 || bytes.Equal(have, request) { // an adapter that returns what is sent is no peer
		return ErrTimeout
	}
	return protocolErrorf("%d bytes that are not an answer: % x", len(have), have[:min(len(have), 16)])
}

// maxStray is how many bytes may lie about before a request: some frames that
// came too late, or noise. A peer that sends more sends without end, and reading
// on would take the bus for as long as it likes.
const maxStray = 4096

var errStray = fmt.Errorf("more than %d bytes came that nobody asked for", maxStray)

// discard throws away what has been received, without waiting for more, where
// the stream can do so. It fails if that is more than maxStray.
func discard(s Stream, buf []byte) error {
	c, ok := s.(syscall.Conn)
	if !ok {
		return discardDue(s, buf)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	stray := 0
	err = raw.Read(func(fd uintptr) bool {
		for stray <= maxStray {
			n, err := syscall.Read(int(fd), buf)
			if n <= 0 || err != nil {
				break
			}
			stray += n
		}
		return true
	})
	if err == nil && stray > maxStray {
		err = errStray
	}
	return err
}

// discardDue does so on a stream that is none of the system's: what it holds
// comes before its deadline is looked at.
func discardDue(s Stream, buf []byte) error {
	if err := s.SetDeadline(time.Now()); err != nil {
		return err
	}
	for stray := 0; stray <= maxStray; {
		n, err := s.Read(buf)
		stray += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errStray
}
