// Package poll polls the devices of a bus and does what others ask of it: the one
// goroutine of a [Bus]. It is given devices that are resolved ([DeviceSpec]), and
// emits readings; it knows no configuration.
package poll
