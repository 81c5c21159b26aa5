// Package trouble remembers which clients a broker refused, cut off or took less
// from than they sent, so that somebody is told: by a line in the log, a metric, a
// condition and a line in the list of sensors, each with the client's name, its
// address, the reason and a count. It knows no connection and no library.
package trouble
