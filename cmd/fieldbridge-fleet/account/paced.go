package account

import (
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// burst is how many calls may follow one another at once after a pause.
const burst = 5

// paced keeps calls apart, so that a large fleet does not take an account's quotas from
// others. It is safe for concurrent use.
type paced struct {
	next  aws.HTTPClient
	every time.Duration

	mu   sync.Mutex
	free time.Time // when the next call has its turn
}

func (p *paced) Do(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	now := time.Now()
	if oldest := now.Add(-burst * p.every); p.free.Before(oldest) {
		p.free = oldest
	}
	p.free = p.free.Add(p.every)
	wait := p.free.Sub(now)
	p.mu.Unlock()
	if wait > 0 {
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(wait):
		}
	}
	return p.next.Do(r)
}
