package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// source returns where the file of a job comes from: what stands beside what is signed,
// under "file". It is asked for again when a presigned URL has expired.
func source(j *jobs.Job) (fetch.Source, error) {
	from, err := beside(j.Around)
	if err != nil {
		return from, bridge.Permanent(err)
	}
	from.Fresh = func(ctx context.Context) (fetch.Source, error) {
		document, err := j.Document(ctx)
		if err != nil {
			return fetch.Source{}, err
		}
		return beside(document)
	}
	return from, nil
}

// beside reads where a file comes from in a job's document.
func beside(document json.RawMessage) (fetch.Source, error) {
	var around struct{ File fetch.Source }
	if err := json.Unmarshal(document, &around); err != nil {
		return fetch.Source{}, fmt.Errorf("where the file comes from cannot be read: %w", err)
	}
	return around.File, nil
}
