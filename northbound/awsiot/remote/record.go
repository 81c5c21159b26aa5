package remote

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
)

// AuditDevice is the device whose readings are the commands that came.
const AuditDevice = "commands"

const (
	// maxAudited is the most bytes of each text in a record: what somebody sends
	// must not become a reading that fits in no message.
	maxAudited = 200
	// recordAgain is when a record that the queue did not take is tried again.
	recordAgain = 10 * time.Second
	// openRecords is how many records may wait for that.
	openRecords = 1000
	// keptRecords is how many records the memory of commands holds until they are
	// safe.
	keptRecords = 40
)

// field is a point of a record and its text.
type field struct {
	Point string `json:"p"`
	Text  string `json:"t"`
}

// fields returns what the record of a command says, but for the outcome.
func (c *command) fields(by way) (all []field) {
	add := func(point, text string) {
		if len(text) > maxAudited {
			text = strings.ToValidUTF8(text[:maxAudited], "") + "..."
		}
		all = append(all, field{point, strings.ToValidUTF8(text, "?")})
	}
	add("id", c.ID)
	add("via", string(by))
	if c.Action != "" {
		add("action", string(c.Action))
	}
	if c.Device != "" {
		add("device", c.Device)
	}
	switch c.Action {
	case actionWrite:
		if c.Set.given {
			add("set", string(c.Set.raw))
		} else {
			add("point", c.Point)
			add("value", string(c.Value))
		}
	case actionRead:
		if len(c.Points) > 0 {
			add("points", strings.Join(c.Points, " "))
		}
	case actionInterval:
		add("every", time.Duration(c.Every).String())
		add("for", time.Duration(c.For).String())
	}
	return all
}

// record is a record of a command on its way to the readings.
type record struct {
	id     string // of the memory of commands; "" if it is not there
	fields []field
	at     time.Time
	next   time.Time // when it is tried again; zero while it is under way
}

// records are those that are not safe yet. It is safe for concurrent use.
type records struct {
	out    bridge.Emit // nil drops them
	memory *memory
	log    *slog.Logger

	mu   sync.Mutex
	open []*record     // guarded by mu
	safe []string      // guarded by mu; ids of the memory whose records are
	poke chan struct{} // receives when there is something to do
}

// put leaves a record of a command among the readings: it is tried until it is
// safe.
func (s *records) put(r *record) {
	if s.out == nil {
		return
	}
	s.mu.Lock()
	if len(s.open) < openRecords {
		s.open = append(s.open, r)
	} else {
		s.log.Error("a record of a command is given up: too many wait for the queue", "id", r.id)
	}
	s.mu.Unlock()
	s.emit(r)
}

func (s *records) emit(r *record) {
	readings := make([]bridge.Reading, len(r.fields))
	for i, f := range r.fields {
		readings[i] = bridge.Reading{Point: f.Point, Value: bridge.String(f.Text)}
	}
	s.out(bridge.Batch{Device: AuditDevice, At: r.at, Readings: readings}, func(err error) {
		s.mu.Lock()
		if err != nil {
			r.next = time.Now().Add(recordAgain)
		} else {
			s.open = slices.DeleteFunc(s.open, func(o *record) bool { return o == r })
			if r.id != "" {
				s.safe = append(s.safe, r.id)
			}
		}
		s.mu.Unlock()
		select {
		case s.poke <- struct{}{}:
		default:
		}
	})
}

// file notes in the memory which records are safe, puts those again that the queue
// did not take, and returns when one is next due; zero is never.
func (s *records) file() (next time.Time) {
	s.mu.Lock()
	safe, now := s.safe, time.Now()
	s.safe = nil
	var again []*record
	for _, r := range s.open {
		switch {
		case r.next.IsZero():
		case !now.Before(r.next):
			r.next = time.Time{}
			again = append(again, r)
		case next.IsZero() || r.next.Before(next):
			next = r.next
		}
	}
	s.mu.Unlock()
	for _, r := range again {
		s.emit(r)
	}
	if err := s.memory.change(safe, func(f *finished) { f.Record = nil }); err != nil {
		s.log.Debug("it is not saved that commands are on record, they come again after a restart", "ids", safe, "err", err)
	}
	return next
}

// recall puts the records that an earlier process did not know to be safe. What
// waited for its turn there is refused: who sent it may have sent another since.
func (s *records) recall() {
	if err := s.memory.load(); err != nil {
		s.log.Warn("the memory of commands cannot be read", "err", err)
	}
	known, waited := s.memory.all(), make(map[string]finished)
	for id, f := range known {
		if f.Waits {
			f.Waits, f.Outcome, f.Text = false, outcomeRefused, "the gateway was killed before its turn"
			known[id], waited[id] = f, f
		}
	}
	if len(waited) > 0 {
		if err := s.memory.rememberAll(waited); err != nil {
			s.log.Warn("commands that waited at a kill are remembered until the stop only", "commands", len(waited), "err", err)
		}
	}
	for id, f := range known {
		if f.Record != nil {
			s.put(&record{id: id, fields: f.outcomeFields(), at: time.Now()})
		}
	}
}

// outcomeFields returns what the record of a command says.
func (f *finished) outcomeFields() []field {
	all := append(slices.Clone(f.Record), field{"outcome", string(f.Outcome)})
	if f.Text != "" {
		all = append(all, field{"text", f.Text})
	}
	return all
}
