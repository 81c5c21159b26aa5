package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/pause"
)

const (
	// mostBlocks is what AWS gives for one request: 128 KiB.
	mostBlocks = 8
	// reach is how far apart the blocks of one request may be.
	reach = 256
	// answerTime is how long the first answer may take, and leastQuiet the least that
	// the rest of a burst may.
	answerTime = 10 * time.Second
	leastQuiet = 300 * time.Millisecond
	// A burst that takes longer than slow keeps others waiting: the next one is smaller.
	quick, slow = 250 * time.Millisecond, 500 * time.Millisecond
)

var errLost = errors.New("the connection is lost")

// refusal is what the service rejects a request with.
type refusal struct{ code, message string }

func (r *refusal) Error() string {
	if r.code == "ETagMismatch" {
		return "the file in S3 was replaced after its stream was made: make the stream anew"
	}
	return fmt.Sprintf("the cloud does not give the file: %s: %s", r.code, r.message)
}

// transient reports whether the same may be asked again.
func (r *refusal) transient() bool {
	return r.code == "VersionMismatch" || r.code == "InternalError" || r.code == "RequestThrottled"
}

// stream fetches the blocks that miss, over as many connections as it takes.
func (f *Fetcher) stream(ctx context.Context, p *part, from Source, progress func(int)) error {
	retry := pause.Growing{Least: time.Second, Most: time.Minute}
	for idle := 0; p.left > 0; {
		c, err := f.connected(ctx)
		if err != nil {
			return err
		}
		before := p.left
		err = f.over(ctx, c, p, from, progress)
		if p.left < before {
			idle = 0
			retry.Reset()
		}
		var no *refusal
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errLost), errors.As(err, &no) && no.transient():
		default:
			return err
		}
		if idle++; idle >= tries {
			return fmt.Errorf("no block came in %d tries: %w", tries, err)
		}
		f.o.Log.Info("the file is asked for again", "stream", from.Stream, "err", err, "left", p.left)
		pause.Sleep(ctx, retry.Next())
	}
	return nil
}

// talk is the conversation on one connection about one stream.
type talk struct {
	*Fetcher
	*connection
	p       *part
	from    Source
	prefix  string
	in      chan uplink.Inbound
	refused chan error // why a request was not taken
	version int
}

// over fetches on one connection until all is there.
func (f *Fetcher) over(ctx context.Context, c *connection, p *part, from Source, progress func(int)) error {
	t := &talk{Fetcher: f, connection: c, p: p, from: from, in: make(chan uplink.Inbound, 4*mostBlocks),
		refused: make(chan error, 1), prefix: "$aws/things/" + f.o.Thing + "/streams/" + from.Stream + "/"}
	// Whoever reads from the connection must not wait; what is too much comes again.
	c.HandleBelow(t.prefix, func(m uplink.Inbound) {
		select {
		case t.in <- m:
		default:
		}
	})
	defer c.HandleBelow(t.prefix, nil)
	topics := []string{t.prefix + "data/cbor", t.prefix + "description/cbor", t.prefix + "rejected/cbor"}
	if err := c.SubscribeLossy(ctx, topics...); err != nil {
		return t.lostOr(err)
	}
	defer func() { t.part(ctx, topics) }()
	if err := t.describe(ctx); err != nil {
		return err
	}
	blocks, idle := 1, 0
	for p.left > 0 {
		gained, took, err := t.round(ctx, blocks)
		if err != nil {
			return err
		}
		progress(p.percent())
		if idle++; gained > 0 {
			idle = 0
		}
		switch {
		case idle >= tries:
			return fmt.Errorf("no block came in %d requests", tries)
		case gained == 0:
		case took < quick:
			blocks = min(2*blocks, mostBlocks)
		case took > slow:
			blocks = max(blocks/2, 1)
		}
		if err := f.pace(ctx, gained*blockSize, took); err != nil {
			return err
		}
	}
	return nil
}

// part ends the subscriptions, if there is still a connection.
func (t *talk) part(ctx context.Context, topics []string) {
	select {
	case <-t.ended:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if err := t.Unsubscribe(ctx, topics...); err != nil {
		t.o.Log.Debug("subscriptions to a stream remain", "err", err)
	}
}

// lostOr returns that the connection is lost, if it is, else err.
func (t *talk) lostOr(err error) error {
	select {
	case <-t.ended:
		return errLost
	default:
		return err
	}
}

// ask sends a request.
func (t *talk) ask(what string, request []byte) {
	m := &bridge.Message{Topic: t.prefix + what + "/cbor", Payload: request, ContentType: "application/cbor"}
	t.Send(m, nil, func(err error) {
		if err != nil {
			select {
			case t.refused <- err:
			default:
			}
		}
	})
}

// hear returns the next answer; ok is false when none came in time.
func (t *talk) hear(ctx context.Context, timer *time.Timer) (kind string, a answer, ok bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return "", a, false, context.Cause(ctx)
		case <-t.ended:
			return "", a, false, errLost
		case err := <-t.refused:
			return "", a, false, t.lostOr(err)
		case <-timer.C:
			return "", a, false, nil
		case m := <-t.in:
			if a, err = decode(m.Payload); err != nil {
				continue // as good as lost
			}
			kind = strings.TrimPrefix(m.Topic, t.prefix)
			if kind == "rejected/cbor" {
				return kind, a, false, &refusal{a.code, a.message}
			}
			return kind, a, true, nil
		}
	}
}

// describe asks for the stream's version, and whether the file is as large as was
// signed.
func (t *talk) describe(ctx context.Context) error {
	for range tries {
		t.ask("describe", appendText(appendText(appendHead(nil, mapping, 1), "c"), "fieldbridge"))
		timer := time.NewTimer(answerTime)
		for {
			kind, a, ok, err := t.hear(ctx, timer)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if kind != "description/cbor" {
				continue // a block of before
			}
			size, ok := a.sizes[t.from.File]
			if !ok || int64(size) != t.p.want.Size {
				return fmt.Errorf("%w: it has %d bytes in the stream, and %d were signed", ErrWrong, size, t.p.want.Size)
			}
			t.version = a.version
			return nil
		}
	}
	return fmt.Errorf("the cloud does not describe the stream in %d requests", tries)
}

// round asks for blocks and takes what comes, until all has come or no more does. It
// returns how many came, and how long they took.
func (t *talk) round(ctx context.Context, blocks int) (gained int, took time.Duration, err error) {
	request, asked := t.request(blocks)
	begun := time.Now()
	t.ask("get", request)
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	for asked > 0 {
		kind, a, ok, err := t.hear(ctx, timer)
		if err != nil || !ok {
			return gained, took, err
		}
		if kind != "data/cbor" || a.file != t.from.File {
			continue
		}
		missed, err := t.p.put(a.block, a.payload)
		if err != nil {
			return gained, took, err
		}
		if !missed {
			continue
		}
		asked--
		gained++
		took = time.Since(begun)
		timer.Reset(min(max(4*took, leastQuiet), answerTime))
	}
	return gained, took, nil
}

// request asks for up to so many of the blocks that miss. The bitmap ends with the last
// of them: bits beyond the file are an error to AWS.
func (t *talk) request(blocks int) (request []byte, asked int) {
	first := 0
	for t.p.has(first) {
		first++
	}
	var bits []byte
	for i := first; i < min(first+reach, t.p.blocks()) && asked < blocks; i++ {
		if t.p.has(i) {
			continue
		}
		for len(bits) <= (i-first)/8 {
			bits = append(bits, 0)
		}
		bits[(i-first)/8] |= 1 << ((i - first) % 8)
		asked++
	}
	b := appendHead(nil, mapping, 7)
	b = appendText(appendText(b, "c"), "fieldbridge")
	b = appendNumber(b, "s", t.version)
	b = appendNumber(b, "f", t.from.File)
	b = appendNumber(b, "l", blockSize)
	b = appendNumber(b, "o", first)
	b = appendNumber(b, "n", asked)
	b = appendHead(appendText(b, "b"), byteString, uint64(len(bits)))
	return append(b, bits...), asked
}
