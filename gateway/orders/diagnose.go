package orders

import (
	"context"
	"fmt"

	"fieldbridge/northbound/awsiot/remote/jobs"
)

// Diagnose tells how the gateway is, for who looks for a fault from afar. It changes
// nothing, and holds no secret.
type Diagnose struct {
	// Look returns the gateway's state in one sentence, what identifies the program and
	// its configuration, and what is wrong, the worst first.
	Look func() (sentence, version, config, run string, problems []string)
}

// mostProblems are told one by one: AWS takes ten pairs of details ("statusDetails",
// API_UpdateJobExecution), and the state takes some.
const mostProblems = 4

// Do implements [jobs.Operation].
func (d Diagnose) Do(context.Context, *jobs.Job) jobs.Outcome {
	sentence, version, config, run, problems := d.Look()
	details := map[string]string{"sentence": sentence, "version": version, "config": config, "run": run}
	for i, p := range problems {
		if i == mostProblems {
			details["more"] = fmt.Sprintf("%d more, see the status topic", len(problems)-i)
			break
		}
		details[fmt.Sprintf("problem_%d", i+1)] = p
	}
	return jobs.Done(details)
}
