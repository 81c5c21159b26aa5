package store

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/terms"
)

// TestCommitEveryLinger: with a connection nothing is written that the cloud
// acknowledges within linger and 5 s; what it does not is, and so is what waits when
// the connection breaks.
func TestCommitEveryLinger(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		c := *q.cfg.Load()
		c.CommitEvery, c.Linger = terms.Linger, 10*time.Second
		if err := q.Apply(c); err != nil {
			t.Fatal(err)
		}
		q.Online()
		began := commits(q)
		for i := range 100 {
			q.Append(testBatch(i, 2), nil)
			time.Sleep(10 * time.Second)
			entries, err := q.Next(t.Context(), bridge.Fresh, 10)
			if err != nil || len(entries) != 1 {
				t.Fatalf("%d batches, %v", len(entries), err)
			}
			time.Sleep(4 * time.Second)
			q.Ack(entries[0].Position)
		}
		synctest.Wait()
		if n := commits(q) - began; n != 0 {
			t.Errorf("%d commits while the cloud takes all within 14 s", n)
		}
		q.Append(testBatch(1, 2), nil)
		time.Sleep(c.Linger + terms.AckTime - time.Millisecond)
		synctest.Wait()
		early := commits(q) - began
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if late := commits(q) - began; early != 0 || late != 1 {
			t.Errorf("%d commits before 15 s, %d after", early, late)
		}
		q.Append(testBatch(2, 2), nil)
		time.Sleep(4 * time.Second)
		q.Offline()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := commits(q) - began; n != 2 {
			t.Errorf("%d commits when the connection is gone and it is older than 3 s", n)
		}
		q.Append(testBatch(3, 2), nil)
		time.Sleep(terms.DefaultCommitEvery + time.Millisecond)
		synctest.Wait()
		if n := commits(q) - began; n != 3 {
			t.Errorf("%d commits without a connection", n)
		}
	})
}

// TestLingerIsNoReasonToWait: a linger beyond commit_every writes, since a power cut may
// take no more than commit_every.
func TestLingerIsNoReasonToWait(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		c := *q.cfg.Load()
		c.CommitEvery, c.Linger = terms.Pace(2*time.Second), time.Minute
		if err := q.Apply(c); err != nil {
			t.Fatal(err)
		}
		q.Online()
		q.Append(testBatch(1, 2), nil)
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		if n := commits(q); n != 1 {
			t.Errorf("%d commits", n)
		}
	})
}

func TestPaceText(t *testing.T) {
	for _, text := range []string{"linger", "3s", "0s", "1500ms"} {
		var p terms.Pace
		if err := p.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if again := p.String(); again != text && again != setting.Duration(p).String() {
			t.Errorf("%s is written %s", text, again)
		}
	}
	for _, text := range []string{"Linger", "-1", "-1ns", "3", "", "linger 3s"} {
		var p terms.Pace
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
}
