// Package life is the gateway's identity from the first start on: it says which
// certificate and key a connection uses, gets the first ones by a claim, makes new
// ones in time, and goes back to the old ones when the cloud does not take them.
//
// The order of choice: one on trial, the current one of the store (package kept), the
// configured files, the claim. What the cloud accepts by acknowledging a message
// becomes the current one; what it refuses is given up, as the cloud judges and never
// the clock here. A gateway without an identity waits for one and loses nothing by it.
package life
