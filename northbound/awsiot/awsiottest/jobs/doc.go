// Package jobs is AWS IoT Jobs: jobs with rollout rate, abort criteria, time-outs,
// retries and cancellation, and their executions on things, who work on them by MQTT
// (developer guide, "Jobs device MQTT API"; API reference, "AWS IoT jobs data").
//
// All of its time is the time package's, so that a test can run it in a bubble. A
// Service is safe for concurrent use; it publishes while it holds its lock, so that
// notifications keep their order.
package jobs
