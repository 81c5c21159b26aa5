// Package rollout brings a signed order to the gateways of a fleet in stages: each
// stage is a job of AWS IoT, and the next one begins when the one before went well.
//
//	canary ─▶ created or found ─▶ watched until it is over ─▶ went well? ─▶ rest ─▶ ...
//	                                                         └─ no: stopped
//
// A job's name is made of what it brings, so that a rollout that was cut goes on where
// it was when it is run again. Nothing is kept but in the account.
package rollout
