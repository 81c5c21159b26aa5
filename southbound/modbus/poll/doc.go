// Package poll polls the devices of a bus and does what others ask of it: the one
// goroutine of a [Bus]. It is given devices that are resolved ([DeviceSpec]), and
// emits readings; it knows no configuration.
//
//	Run ──▶ step ──▶ next ──▶ wire.Fetch ──▶ take ──▶ batch ──▶ finish ──▶ emit
//	bus     cycle: of a job, one request      │        values   the cycle's end
//	                                          └─▶ learn: what the answer tells of the device
//
// The way goes forward: each stage ends with a call of the next, and what is
// learnt by the way changes the blocks from the next cycle on. Which device is
// asked at all is up to probe; what others want, a write for instance, comes
// between two requests (errand). What is written unasked (tend) goes before both,
// early where the next request may wait for a silent device.
//
// Locks: the goroutine of the bus owns all but three things, each behind a mutex
// of its own under which nothing is called: what devices it should poll (Set),
// how the bus is doing (Bus.Status), and how a device is doing (Device.Status).
package poll
