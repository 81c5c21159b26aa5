package pulse

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		l := b.Loop("bus line")
		check := func(what string, want ...Late) {
			t.Helper()
			got := b.Late()
			if len(got) != len(want) {
				t.Fatalf("%s: %v is late, want %v", what, got, want)
			}
			for i := range got {
				if got[i].Name != want[i].Name || got[i].By.Round(time.Second) != want[i].By {
					t.Errorf("%s: %v is late, want %v", what, got, want)
				}
			}
		}
		time.Sleep(time.Hour)
		check("it has said nothing yet")
		l.Within(10 * time.Second)
		time.Sleep(9 * time.Second)
		check("in time")
		time.Sleep(4 * time.Second)
		check("over its time", Late{Name: "bus line", By: 3 * time.Second})
		l.Within(time.Minute)
		check("it runs again")
		time.Sleep(time.Second)
		l.Rest()
		time.Sleep(time.Hour)
		check("it waits for others")
		l.Within(time.Second)
		m := b.Loop("committer")
		m.Within(5 * time.Second)
		time.Sleep(10 * time.Second)
		check("two, the worst first",
			Late{Name: "bus line", By: 9 * time.Second}, Late{Name: "committer", By: 5 * time.Second})
		l.End()
		check("one has ended", Late{Name: "committer", By: 5 * time.Second})
		b.Lapsed(10 * time.Second)
		check("the program did not run")
		time.Sleep(6 * time.Second)
		check("and then it did", Late{Name: "committer", By: time.Second})
	})
}

func TestCrossing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		c := b.Crossing("collector", 10*time.Second)
		look := func(until time.Duration) (late time.Duration) {
			for range until / time.Second {
				time.Sleep(time.Second)
				if l := b.Late(); len(l) > 0 {
					late = l[0].By
				}
			}
			return late
		}
		if late := look(time.Minute); late != 0 {
			t.Fatalf("nobody is inside, and it is late by %v", late)
		}
		// One who stays is seen among many who pass, and at each look some are inside.
		var passing sync.WaitGroup
		stop := make(chan struct{})
		for i := range 3 {
			passing.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				for {
					select {
					case <-stop:
						return
					default:
					}
					ticket := c.Enter()
					time.Sleep(3 * time.Second)
					c.Leave(ticket)
				}
			})
		}
		if late := look(time.Minute); late > 0 {
			t.Errorf("all pass, and it is late by %v", late)
		}
		stays := c.Enter()
		if late := look(time.Minute); late < 40*time.Second || late > time.Minute {
			t.Errorf("one stays for a minute, and it is late by %v", late)
		}
		c.Leave(stays)
		if late := look(5 * time.Second); late > 0 {
			look(10 * time.Second)
		}
		if late := look(time.Minute); late > 0 {
			t.Errorf("it has left, and it is late by %v", late)
		}
		close(stop)
		passing.Wait()
	})
}

// TestCheap: a sign of life costs a reading no memory.
func TestCheap(t *testing.T) {
	b := NewBoard()
	l, c := b.Loop("a"), b.Crossing("b", time.Second)
	if n := testing.AllocsPerRun(100, func() {
		l.Within(time.Second)
		c.Leave(c.Enter())
		l.Rest()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
