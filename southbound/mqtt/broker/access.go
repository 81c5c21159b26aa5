package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/password"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/topic"
	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/weigh"
)

// access says who may connect to an embedded broker, and to which topics.
type access struct {
	users     map[string]inlet.User
	topics    map[string][]topic.Filter // by user; nil is all
	anonymous bool
	guard     *password.Guard
	decoy     string // the user whose password is looked at in place of an unknown one's
}

func newAccess(b inlet.Broker) (access, error) {
	a := access{users: b.Users, topics: make(map[string][]topic.Filter), anonymous: b.Anonymous || len(b.Users) == 0}
	var err error
	if a.guard, err = password.NewGuard(); err != nil {
		return a, err
	}
	for name := range b.Users {
		a.decoy = max(a.decoy, name)
	}
	for name, u := range b.Users {
		for _, t := range u.Topics {
			f, err := topic.Parse(t)
			if err != nil {
				return a, fmt.Errorf("topics of user %s: %w", name, err)
			}
			a.topics[name] = append(a.topics[name], f)
		}
	}
	return a, nil
}

var (
	errAnonymous = errors.New("it gives no user name")
	errUnknown   = errors.New("its user is not in users") // the client is not told which of the two it is
	errPassword  = errors.New("wrong password")
	errWillTopic = errors.New("its last will is to a topic of more than 1 KiB")
	errWill      = errors.New("its last will is to a topic that the user may not publish to")
)

// admit says whether a client from address may connect, and the topics that it may
// use, nil for all. It may wait, for the disk or since somebody guesses, until ctx
// ends.
func (a *access) admit(ctx context.Context, address string, connect packets.ConnectParams) ([]topic.Filter, error) {
	if connect.WillFlag && len(connect.WillTopic) > inlet.MaxTopic {
		return nil, errWillTopic
	}
	if !connect.UsernameFlag && a.anonymous {
		return nil, nil
	}
	if !connect.UsernameFlag {
		return nil, errAnonymous
	}
	if len(a.users) == 0 {
		return nil, nil // nobody asks for names
	}
	name := string(connect.Username)
	user, known := a.users[name]
	if !known {
		user = a.users[a.decoy] // so that the time it takes does not tell who is known
	}
	text, err := inlet.ReadPassword(user.PasswordFile)
	var hash password.Hash
	if err == nil {
		hash, err = password.Parse(string(text))
	}
	if !known {
		hash = hash.Decoy()
	} else if err != nil {
		return nil, err
	}
	if !a.guard.Check(ctx, address, name, connect.Password, hash) {
		if !known {
			return nil, errUnknown
		}
		return nil, errPassword
	}
	topics := a.topics[string(connect.Username)]
	if connect.WillFlag && !isBridgeState(connect.WillTopic) && !mayPublish(topics, connect.WillTopic) {
		return nil, errWill
	}
	return topics, nil
}

func mayPublish(topics []topic.Filter, name string) bool {
	return topics == nil || slices.ContainsFunc(topics, func(f topic.Filter) bool {
		_, ok := f.Match(name, nil)
		return ok
	})
}

// maySubscribe reports whether all that filter can match is allowed. A topic is
// a filter that matches itself.
func maySubscribe(topics []topic.Filter, wanted string) bool {
	if topics == nil {
		return true
	}
	if strings.HasPrefix(wanted, "$share/") {
		if parts := strings.SplitN(wanted, "/", 3); len(parts) == 3 {
			wanted = parts[2]
		}
	}
	if !strings.ContainsAny(wanted, "+#") {
		return mayPublish(topics, wanted)
	}
	f, err := topic.Parse(wanted)
	return err == nil && slices.ContainsFunc(topics, func(allowed topic.Filter) bool { return allowed.Covers(&f) })
}

// sessionID returns the name under which the session of a client is kept: the
// client id within its user, if users are asked for. Two users who give the same
// id have two sessions: neither gets what waits for the other, nor throws the
// other out, nor can keep the other away by being there first. No client can
// make the name up, since its text cannot have a zero (MQTT-1.5.4-2).
func (a *access) sessionID(connect packets.ConnectParams, id string) string {
	if len(a.users) == 0 || !connect.UsernameFlag {
		return id
	}
	return string(connect.Username) + weigh.UserEnd + id
}

// clientID returns the id that a client gave, for people.
func clientID(cl *mochi.Client) string { return cl.ID[strings.Index(cl.ID, weigh.UserEnd)+1:] }

// OnConnectAuthenticate says who may connect.
func (h *hook) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	c, ok := cl.Net.Conn.(*conn)
	if !ok {
		return false
	}
	topics, err := h.broker.access.admit(c.ctx, host(c), pk.Connect)
	if err != nil {
		h.broker.denied(c, cl, pk.Connect, err)
		return false
	}
	c.topics = topics
	if isBridgeState(pk.Connect.WillTopic) {
		cl.Properties.Will = mochi.Will{} // nobody publishes to $SYS
	}
	c.mu.Lock()
	cl.ID = h.broker.access.sessionID(pk.Connect, cl.ID)
	c.mu.Unlock()
	if !h.mayLogin(c, cl) {
		return false
	}
	if !h.broker.mayStay(cl.ID) {
		cl.Properties.Clean = true // of MQTT 3.1.1
		cl.Properties.Props.SessionExpiryInterval = 0
	}
	return true
}

// mayLogin reports whether there is memory for what the client's CONNECT packet
// said, its last will above all, as long as its session lives.
func (h *hook) mayLogin(c *conn, cl *mochi.Client) bool {
	e := h.broker
	e.memory.Logins.Drop(cl.ID)
	if c.first > 1<<10 && !weigh.Fair(e.memory.Logins, cl.ID, int64(c.first)) {
		c.refusal = packets.ErrQuotaExceeded
		e.blame(weigh.TooMuchLogin, who(cl))
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.strangers.Remove(c)
	return true
}

// OnACLCheck says what a client may subscribe to. What it may publish to OnPublish
// says: a message under an alias has no topic yet, and the broker's library would
// end the connection of a client of MQTT 3.1.1.
func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	c, ok := cl.Net.Conn.(*conn)
	switch {
	case write:
		return true
	case len(topic) > inlet.MaxTopic:
		h.broker.blame(weigh.TooLongTopic, who(cl))
		return false
	case strings.Count(topic, "/") >= maxLevels:
		h.broker.trouble.Advise(trouble.Topic, who(cl), fmt.Sprintf("its topic %s has over %d levels", trouble.Short(topic),
			maxLevels), "shorten the topic")
		return false
	case !ok || c.topics == nil || maySubscribe(c.topics, topic):
		return true
	}
	h.broker.refuseTopic(cl, topic, false)
	return false
}

// mayPublish says whether a client may publish to a topic.
func (h *hook) mayPublish(c *conn, cl *mochi.Client, topic string) bool {
	switch {
	case len(topic) > inlet.MaxTopic || strings.Count(topic, "/") >= maxLevels:
		return h.OnACLCheck(cl, topic, false) // which says why not
	case mayPublish(c.topics, topic):
		return true
	}
	h.broker.refuseTopic(cl, topic, true)
	return false
}
