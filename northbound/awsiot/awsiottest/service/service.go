// Package service is how the stand-in and the services of AWS IoT that are plugged
// into it speak to one another: who asks, and how an answer goes back.
package service

import "crypto/x509"

// Caller is who published a request.
type Caller struct {
	Client      string // id of its connection
	Thing       string // the thing it stands for, "" for none
	Certificate string // id
	// Subscribed sends something to the connection that asked, and to no other, if
	// it has subscribed to the topic and may receive it.
	Subscribed func(topic string, payload []byte)
	// Unasked does the same without a subscription, as AWS does with the answers of
	// Jobs.
	Unasked func(topic string, payload []byte)
}

// Service answers what is published to reserved topics. Its methods are called from
// several goroutines.
type Service interface {
	// Request handles a message if it is for the service, and reports whether it
	// was.
	Request(from Caller, topic string, payload []byte) bool
}

// Announcer is a service that has something to say unasked. It is told how when it
// is plugged in.
type Announcer interface {
	Announce(publish func(topic string, payload []byte) error)
}

// Registrar is a service that is told of each certificate which is not active,
// before its connection is closed.
type Registrar interface {
	Arrives(leaf *x509.Certificate)
}
