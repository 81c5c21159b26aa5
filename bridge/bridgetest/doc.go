// Package bridgetest has what tests of the bridge and its adapters need: scripted
// fakes of the ports, a model of the queue in memory, and the conformance suite
// that every queue must pass.
//
// Everything here works inside a testing/synctest bubble: waiting is done on
// channels and timers only.
package bridgetest
