package jobs

import (
	"context"
	"encoding/json"
)

// Document asks the cloud for the job's document anew: the presigned URLs in it are fresh
// then. It waits for a connection, until ctx ends; its cause is the error. Nobody has
// signed the document as a whole: what is taken from it must be checked by what was.
func (j *Job) Document(ctx context.Context) (json.RawMessage, error) {
	w, got := j.worker, make(chan json.RawMessage, 1)
	w.mu.Lock()
	w.wanted = got
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.wanted == got {
			w.wanted = nil
		}
	}()
	poke(w.news)
	select {
	case document := <-got:
		return document, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
