package password

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"fieldbridge/pause"
)

const (
	// After a wrong password the next answer to the same user from the same
	// address waits, twice as long each time.
	leastDelay = 100 * time.Millisecond
	mostDelay  = 5 * time.Second
	// strangeUsers wrong answers from one address, whoever it says it is, and the
	// address waits as well: it guesses names.
	strangeUsers = 10
	// forgiveAfter without a wrong answer an address begins anew.
	forgiveAfter = 10 * time.Minute
	// mostRemembered bounds what is kept of addresses; an old one goes.
	mostRemembered = 4096
	// share of a core goes into hashing, and at most burst of it at once, for those
	// whose address gave no wrong answer lately; as much again for the others.
	share = 0.05
	burst = 500 * time.Millisecond
)

// Guard checks passwords. Its methods may be called by several goroutines at
// once; Check waits, with no lock held.
type Guard struct {
	key [32]byte // of the remembered passwords; made at the start, never leaves the process

	mu       sync.Mutex
	verified map[string][32]byte // guarded by mu, as all below; by user and hash
	wrong    map[string]*misses  // by address, and by address and user
	refused  []time.Time         // of the last minute, at most mostRefused
	budgets  [2]spending         // of addresses without and with wrong answers
	now      func() time.Time
}

// misses are the wrong answers of someone.
type misses struct {
	count int
	last  time.Time
}

// spending is time that hashing may still take.
type spending struct {
	left time.Duration
	at   time.Time
}

// NewGuard returns a guard that remembers nobody.
func NewGuard() (*Guard, error) {
	g := &Guard{verified: make(map[string][32]byte), wrong: make(map[string]*misses), now: time.Now}
	if _, err := rand.Read(g.key[:]); err != nil {
		return nil, err
	}
	return g, nil
}

// Check reports whether password is that of user, who comes from address. The
// zero hash is for a user that does not exist: it takes the same time. An answer
// to an address that was wrong before comes later; if ctx ends first, the answer is no.
func (g *Guard) Check(ctx context.Context, address, user string, password []byte, hash Hash) bool {
	name := user + "\x00" + string(hash.sum)
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte(name)) // writes to a hash never fail
	mac.Write(password)
	tag := [32]byte(mac.Sum(nil))

	delay, known := g.before(address, user, name, tag)
	if known {
		return true
	}
	if delay > 0 && !pause.Sleep(ctx, delay) {
		return false
	}
	if !g.mayHash(ctx, address, hash) {
		return false
	}
	ok := hash.Matches(password)
	g.after(address, user, name, tag, ok)
	return ok
}

// before returns how long the answer has to wait, and whether it is known that
// the password is right: then it waits for nothing.
func (g *Guard) before(address, user, name string, tag [32]byte) (delay time.Duration, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if was, ok := g.verified[name]; ok && hmac.Equal(was[:], tag[:]) {
		return 0, true
	}
	now := g.now()
	if m := g.wrong[address+"\x00"+user]; m != nil && now.Sub(m.last) < forgiveAfter {
		delay = grown(m.count)
	}
	if m := g.wrong[address]; m != nil && now.Sub(m.last) < forgiveAfter && m.count >= strangeUsers {
		delay = max(delay, grown(m.count-strangeUsers+1))
	}
	return delay, false
}

// grown is the delay after n wrong answers.
func grown(n int) time.Duration { return min(leastDelay<<min(n-1, 10), mostDelay) }

// mayHash waits until there is time left for hashing, and takes it.
func (g *Guard) mayHash(ctx context.Context, address string, hash Hash) bool {
	cost := hash.cost()
	for {
		wait := g.spend(address, cost)
		if wait == 0 {
			return ctx.Err() == nil
		}
		if !pause.Sleep(ctx, wait) {
			return false
		}
	}
}

// cost is about what Matches takes, of a core: 0.5 µs an iteration.
func (h Hash) cost() time.Duration {
	switch h.kind {
	case '6', 'c':
		return 0
	case '7':
		return time.Duration(h.iterations) * 500 * time.Nanosecond
	}
	return iterations * 500 * time.Nanosecond
}

// spend takes cost from the budget of those like address, or returns how long
// until there is some.
func (g *Guard) spend(address string, cost time.Duration) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	b := &g.budgets[0]
	if m := g.wrong[address]; m != nil && now.Sub(m.last) < forgiveAfter {
		b = &g.budgets[1]
	}
	if b.at.IsZero() {
		b.left = burst
	} else {
		b.left = min(burst, b.left+time.Duration(share*float64(now.Sub(b.at))))
	}
	b.at = now
	if b.left <= 0 {
		return max(time.Duration(float64(-b.left)/share), time.Millisecond)
	}
	b.left -= cost
	return 0
}

// after notes the answer.
func (g *Guard) after(address, user, name string, tag [32]byte, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok {
		g.verified[name] = tag
		delete(g.wrong, address+"\x00"+user)
		return
	}
	now := g.now()
	g.note(address, now)
	g.note(address+"\x00"+user, now)
	g.refused = append(g.refused, now)
	if len(g.refused) > mostRefused {
		g.refused = g.refused[len(g.refused)-mostRefused:]
	}
}

// mostRefused is how many refusals are counted exactly.
const mostRefused = 10_000

func (g *Guard) note(who string, now time.Time) {
	m := g.wrong[who]
	if m == nil {
		if len(g.wrong) >= mostRemembered {
			g.forgetOld()
		}
		m = &misses{}
		g.wrong[who] = m
	}
	if now.Sub(m.last) >= forgiveAfter {
		m.count = 0
	}
	m.count++
	m.last = now
}

// forgetOld drops the oldest of a few: to find the oldest of all would make each
// wrong answer dear.
func (g *Guard) forgetOld() {
	oldest, looked := "", 0
	for who, m := range g.wrong {
		if oldest == "" || m.last.Before(g.wrong[oldest].last) {
			oldest = who
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(g.wrong, oldest)
}

// Refused returns how many passwords were wrong in the last minute.
func (g *Guard) Refused() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	since := g.now().Add(-time.Minute)
	n := 0
	for n < len(g.refused) && g.refused[n].Before(since) {
		n++
	}
	g.refused = g.refused[n:]
	return len(g.refused)
}

// Forget drops what is remembered of passwords: the configuration has changed.
func (g *Guard) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.verified)
}
