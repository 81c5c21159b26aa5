package orders

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/signed"
)

// Opener reads documents of jobs. Guard opens those that are signed.
type Opener struct{ Guard *signed.Guard }

// unsigned are the operations that need no signature: they change nothing that runs.
var unsigned = []string{"rotate", "restart", "diagnose"}

// Open implements [jobs.Opener].
func (o Opener) Open(job string, document []byte) (jobs.Order, error) {
	var plain struct {
		Operation string          `json:"operation"`
		What      json.RawMessage `json:"what"`
		Payload   json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(document, &plain); err != nil {
		return jobs.Order{}, bridge.Permanent(fmt.Errorf("the job's document cannot be read: %w", err))
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, document) // it is JSON
	around := json.RawMessage(compact.Bytes())
	if plain.Payload == nil {
		switch {
		case plain.Operation == "":
			return jobs.Order{}, bridge.Permanent(errors.New("the job's document names no operation"))
		case slices.Contains(jobs.Operations, plain.Operation) && !slices.Contains(unsigned, plain.Operation):
			return jobs.Order{Operation: plain.Operation}, bridge.Permanent(fmt.Errorf("%s must be signed: sign it with "+
				"a key that updates.keys names", plain.Operation))
		}
		return jobs.Order{Operation: plain.Operation, What: plain.What, Around: around}, nil
	}
	order, err := o.Guard.Open(job, document)
	switch {
	case errors.Is(err, signed.ErrEarly), errors.Is(err, signed.ErrState):
		return jobs.Order{}, err
	case err != nil:
		return jobs.Order{}, bridge.Permanent(err)
	}
	return jobs.Order{Operation: order.Operation, What: order.What, Around: around}, nil
}
