// Package awsiottest is a local stand-in for AWS IoT Core: an MQTT 5 broker that
// demands mutual TLS and keeps to the limits and manners of the service, as far
// as they are documented, and that fails on demand. Tests, `fieldbridge demo`
// and `fieldbridge cloud` use it.
//
// It is built on mochi-mqtt, but acknowledges QoS 1 messages itself, so that an
// acknowledgement can be late, lost or a refusal.
package awsiottest
