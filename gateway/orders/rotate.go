package orders

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/pause"
)

// Rotate gives the gateway a new key and certificate.
type Rotate struct{ Identity Identity }

// Identity is what is needed of the uplink.
type Identity interface {
	// Rotate returns when the new certificate has proven itself, or why it did not; what
	// will not change is marked by [bridge.Permanent].
	Rotate(ctx context.Context) error
	Link() bridge.LinkStatus
}

// Do implements [jobs.Operation]. A rotation that a restart has cut is done if the
// gateway has another certificate than before, else it begins again.
func (r Rotate) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	if !r.connected(ctx) {
		return jobs.Outcome{}
	}
	before := r.certificate()
	if step, note := j.Noted(); step != "" {
		var old string
		if json.Unmarshal(note, &old) == nil && old != "" && old != before {
			return jobs.Done(map[string]string{"from": old, "to": before})
		}
	} else if err := j.Note("rotating", before); err != nil {
		return jobs.Fail(err)
	}
	err := r.Identity.Rotate(ctx)
	switch {
	case err == nil:
		return jobs.Done(map[string]string{"from": before, "to": r.certificate()})
	case errors.Is(err, context.Canceled) && ctx.Err() != nil && !errors.Is(context.Cause(ctx), jobs.ErrEnded):
		return jobs.Outcome{}
	}
	return jobs.Judge(err)
}

// certificate returns the id of the certificate in use, "" without one of our own.
func (r Rotate) certificate() string {
	if i := r.Identity.Link().Identity; i != nil {
		return i.ID
	}
	return ""
}

// connected waits until the uplink is up. It reports false when ctx ends first.
func (r Rotate) connected(ctx context.Context) bool {
	for !r.Identity.Link().Connected {
		if !pause.Sleep(ctx, time.Second) {
			return false
		}
	}
	return ctx.Err() == nil
}
