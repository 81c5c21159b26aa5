// Package payload makes readings of what sensors publish: a number, JSON and what
// could be JSON, CSV, bytes. It takes to pieces what has several samples or
// devices, and leaves to its caller to make names of what they are called. It is
// pure: bytes, a rule and the time of arrival go in, readings and a fault come
// out. A payload can be anything that someone on the network can send, so whatever
// it is costs at most its length, and what cannot be read is a [Fault] that people
// are told, or a bad value with a reason.
package payload
