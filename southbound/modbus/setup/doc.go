// Package setup is what a configuration says of Modbus: buses, devices and points
// as they stand in YAML, checked ([Config.Validate]) and resolved into what the
// loops of the buses take ([Resolve]). It knows nothing of what runs.
package setup
