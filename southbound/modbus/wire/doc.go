// Package wire carries Modbus requests and answers. It is the transport and the
// packager under goburrow/modbus, whose own are not used: its TCP never recovers
// from a late answer, its RTU takes one for the answer to the next request, and
// neither knows a context.
//
// A [Link] is one connection with one request outstanding: it dials when it has
// to, matches answers to requests, throws away what is late or foreign, and
// closes what it cannot trust any more. A [Client] is goburrow's client on a
// link.
//
// After any error of a link the next request is safe: an answer is never taken
// for that of another request.
package wire
