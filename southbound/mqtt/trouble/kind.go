package trouble

import "fieldbridge/condition"

// Kind is one way in which a client and a broker do not get on.
type Kind struct {
	Code string // for programs and metrics
	// Advice is what to do.
	Advice string
	// is the condition of a client that has it, which its sentence and advice fill
	// in.
	is *condition.Kind
	// quiet is not worth a line in the log.
	quiet bool
	// least is how often it must have come before it is a condition.
	least uint64
}

// The kinds.
var (
	// Login: an unknown user, a wrong password, none at all.
	Login = &Kind{Code: "refused_login", Advice: "give it a user and password of users, or add it there",
		is: condition.ClientRefused, least: 2}
	// Protocol: what it sends first is not a CONNECT packet that the broker takes.
	Protocol = &Kind{Code: "refused_protocol",
		Advice: "let it speak MQTT 3.1, 3.1.1 or 5, with TLS if tls: listen is the port that it uses",
		is:     condition.ClientRefused, least: 2}
	// Full: no place for it.
	Full = &Kind{Code: "refused_full", Advice: "raise max_clients, or see what all those clients are",
		is: condition.ClientRefused, least: 1}
	// TooLarge: a message over max_message; it was skipped.
	TooLarge = &Kind{Code: "too_large", Advice: "raise max_message, or let it send less at once",
		is: condition.ClientLoses, least: 1}
	// Topic: a topic that its user may not publish or subscribe to.
	Topic = &Kind{Code: "refused_topic", Advice: "add the topic to topics of its user, or change it there",
		is: condition.ClientLoses, least: 1}
	// SharedID: another client that calls itself the same threw it out.
	SharedID = &Kind{Code: "shared_client_id", Advice: "give each of them a client id of its own",
		is: condition.ClientsShareID, least: 1}
	// Broken: it was connected, and what it sent was not MQTT.
	Broken = &Kind{Code: "broken_packets", Advice: "update or mend its program: others send what MQTT has",
		is: condition.ClientRefused, least: 2}
	// Certificate: it does not accept the broker's.
	Certificate = &Kind{Code: "refused_certificate",
		Advice: "give it the authority of the broker's certificate, and a name that stands in it",
		is:     condition.ClientRefused, least: 2}
	// Silent: it was not heard of for longer than its keep-alive allows. So ends
	// whoever is switched off.
	Silent = &Kind{Code: "silent", Advice: "see if it is on and has a network, or let it keep its keep-alive", quiet: true}
	// Memory: it asked for more than there is memory for.
	Memory = &Kind{Code: "memory", Advice: "see what it is and what it sends"}
	// Slow: it does not read what it subscribed to.
	Slow = &Kind{Code: "slow", Advice: "let it read faster, or subscribe to less",
		is: condition.ClientLoses, least: 2}
	// Queue: the gateway's queue refused its messages.
	Queue = &Kind{Code: "queue_refuses", Advice: "see what the health of the queue says"}
)

// Kinds returns all of them.
func Kinds() []*Kind {
	return []*Kind{Login, Protocol, Full, TooLarge, Topic, SharedID, Broken, Certificate, Silent, Memory,
		Slow, Queue}
}
