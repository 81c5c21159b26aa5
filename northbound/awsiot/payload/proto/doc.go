// Package proto writes and reads messages of format protobuf: readings by number.
//
// A [Sheet] is a list of points of one device that come together. A number of a
// sheet, or of a point in it, is given once and never to another: the [Book] of a
// gateway grows only. A row of a message has the values of one batch by the numbers
// of a sheet, each value in the list of its [Kind]; what has no number yet, or a
// value that its list cannot hold exactly, stands in a sheet of the message's own.
//
// readings.proto has the layout. It keeps to what AWS IoT's rule function decode()
// takes ("SQL functions, decode", AWS IoT Core Developer Guide): no 64-bit integers,
// names of fields of one lower-case word, at most 128 KiB as JSON.
//
// The package is pure, and writes the wire format by hand (Protocol Buffers,
// "Encoding"): it needs five of its rules, and no reflection.
package proto
