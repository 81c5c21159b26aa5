// Package plan decides which registers of a device are read together: the
// cheapest blocks that cover its points, within what the configuration allows and
// what was learnt of the device. It is pure: what is asked, what is known and what
// a request costs in, blocks out.
package plan
