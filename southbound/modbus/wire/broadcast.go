package wire

import (
	"context"
	"errors"
	"time"

	"fieldbridge/pause"
)

// allUnits is the id that all units of a line listen to and none answers (Modbus
// over Serial Line V1.02, section 2.1). Over TCP it is a unit like others.
const allUnits = 0

// ErrAllUnits is that all units of a line were asked for an answer, which none
// gives.
var ErrAllUnits = errors.New("unit 0 is all units of the line: they can be written to, and none answers")

// turnaround is how long units have to take in what was sent to all of them: the
// specification says 100 to 200 ms (section 2.4.1).
const turnaround = 100 * time.Millisecond

// broadcast sends a write to all units, and gives them the time to take it in, at
// least still. There is no answer; what is returned is what a unit would repeat.
func (l *Link) broadcast(ctx context.Context, request []byte, still time.Duration) ([]byte, error) {
	answer := request
	switch function := request[1]; function {
	case 5, 6, 22:
	case 15, 16:
		answer = l.framing.encode(nil, allUnits, function, request[2:6])
	default:
		return nil, ErrAllUnits
	}
	err := l.stream.SetDeadline(time.Now().Add(l.o.ConnectTimeout))
	if err == nil {
		_, err = l.stream.Write(l.framing.put(request))
	}
	if err != nil {
		l.drop()
		return nil, l.o.broken(err)
	}
	sending := l.o.Char * time.Duration(l.framing.chars(len(request)))
	done := pause.Sleep(ctx, sending+max(turnaround, still))
	l.ended = time.Now()
	if !done {
		return nil, ctx.Err()
	}
	return answer, nil
}
