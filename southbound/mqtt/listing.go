package mqtt

import (
	"encoding/json"
	"fmt"
	"time"

	"fieldbridge/southbound/mqtt/trouble"
)

// Listing is what a source has heard, and from whom it did not: for people who
// write rules and look for a sensor. As JSON it is one list, as older versions had
// it of topics alone; rules and clients have a key "row" that says what they are.
type Listing struct {
	Topics  []Seen
	Rules   []RuleSeen
	Clients []ClientTrouble
}

// RuleSeen is what a rule has heard.
type RuleSeen struct {
	Broker   string    `json:"broker"`
	Sensor   string    `json:"sensor"`
	Filter   string    `json:"filter"`
	Messages uint64    `json:"messages"` // since the rule was changed last
	Last     time.Time `json:"last,omitzero"`
	// Subscription is "granted" or why it is not, at a broker of the site; "" at
	// the embedded broker, which has no subscriptions of rules.
	Subscription string `json:"subscription,omitempty"`
}

// ClientTrouble is a client of an embedded broker that was refused, cut off or not
// taken in full.
type ClientTrouble struct {
	Broker  string    `json:"broker"`
	Trouble string    `json:"trouble"` // its code, as refused_login
	Client  string    `json:"client,omitempty"`
	User    string    `json:"user,omitempty"`
	Remote  string    `json:"remote"`
	Cause   string    `json:"cause"`
	Advice  string    `json:"advice"`
	Count   uint64    `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// What a row of a Listing is; a topic says nothing.
const (
	ruleRow   = "rule"
	clientRow = "client"
)

// MarshalJSON writes topics, then rules, then clients.
func (l Listing) MarshalJSON() ([]byte, error) {
	rows := make([]any, 0, len(l.Topics)+len(l.Rules)+len(l.Clients))
	for _, t := range l.Topics {
		rows = append(rows, t)
	}
	for _, r := range l.Rules {
		rows = append(rows, struct {
			Row string `json:"row"`
			RuleSeen
		}{ruleRow, r})
	}
	for _, c := range l.Clients {
		rows = append(rows, struct {
			Row string `json:"row"`
			ClientTrouble
		}{clientRow, c})
	}
	return json.Marshal(rows)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Listing) UnmarshalJSON(b []byte) error {
	var rows []json.RawMessage
	if err := json.Unmarshal(b, &rows); err != nil {
		return err
	}
	*l = Listing{}
	for _, row := range rows {
		var is struct{ Row string }
		if err := json.Unmarshal(row, &is); err != nil {
			return err
		}
		var err error
		switch is.Row {
		case "":
			l.Topics, err = withRow(l.Topics, row)
		case ruleRow:
			l.Rules, err = withRow(l.Rules, row)
		case clientRow:
			l.Clients, err = withRow(l.Clients, row)
		}
		if err != nil {
			return fmt.Errorf("row %q: %w", is.Row, err)
		}
	}
	return nil
}

func withRow[T any](to []T, row []byte) ([]T, error) {
	var one T
	err := json.Unmarshal(row, &one)
	return append(to, one), err
}

func clientTrouble(broker string, e trouble.Entry) ClientTrouble {
	return ClientTrouble{Broker: broker, Trouble: e.Kind.Code, Client: e.Client.ID, User: e.Client.User,
		Remote: e.Client.Remote, Cause: e.Cause, Advice: e.Advice, Count: e.Count, First: e.First, Last: e.Last}
}
