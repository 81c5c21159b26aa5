// Package inlet is what the two ways share by which messages of sensors reach
// the gateway, the embedded broker and the client of a site broker: the message,
// a broker in the configuration, and the files that it names. It knows neither
// way, and no rule.
package inlet
