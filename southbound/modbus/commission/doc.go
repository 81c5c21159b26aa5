// Package commission is what an electrician does with a line before there is a
// configuration: read and write by hand, find the units, settings and addresses
// that answer, walk a SunSpec list, and learn what to do about an error. It
// knows neither YAML nor a running bus.
package commission
