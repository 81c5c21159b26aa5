// Package page writes the console's page as HTML: what it is given, in the reader's
// language. All of it is made here, so that it says the same with JavaScript off;
// page.js only asks for it again and puts the new text in the place of the old.
package page

import (
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/console/diary"
)

// State is what the page tells of a gateway.
type State struct {
	Gateway, Run, Version, Config string
	Started, Now                  time.Time
	Trial                         time.Time // until when the configuration is on trial; zero if it is not
	Program                       *Program  // nil unless it is on trial

	Link       bridge.LinkStatus
	Queue      Queue
	Buses      []bridge.BusStatus
	Devices    []Device
	Conditions []condition.Condition
	Events     []diary.Event // newest first
	Unmatched  []Topic       // that no sensor rule takes
	Refused    []Client      // that the broker did not let in
	Job        *Job          // of the cloud, that is under way; nil for none
	LastJob    *Job          // the last one that has ended
	WellSince  time.Time     // when the last condition ended, or the start
	Step       time.Duration // of the courses of points
}

// Program is the release that runs, while it must prove itself.
type Program struct {
	Since    time.Time
	Attempts int       // how often it was started
	Until    time.Time // it is given up then, or Kept; zero before it is ready
	Missing  []string  // what is not as it was before, in English
	Kept     bool      // the link alone is missing, as before
}

// Job is a job of the cloud.
type Job struct {
	ID, Operation, Step string
	Percent             int       // of the step; 0 if that cannot be said
	At                  time.Time // when it began, or ended
	Owed                bool      // it is done, and the cloud does not know it yet
	Status              string    // how it ended, as AWS says it; "" while it is under way
	RolledBack          bool      // what ran before runs again
	Why                 string    // it failed
}

// Queue is how much waits, and for how much more there is room.
type Queue struct {
	Ledger         bridge.Ledger
	Backlog        bridge.Count
	Bytes, MaxSize int64
	// Lasts is how long the cloud may be away until the queue is full; 0 if that
	// cannot be said.
	Lasts time.Duration
}

// Device is a device and its points.
type Device struct {
	bridge.DeviceStatus
	Points []Point // sorted by name
}

// Point is a point with what was read of it last.
type Point struct {
	Name, Unit string
	Text       string    // the value; "" if it is bad, or nothing has been read yet
	Bad        string    // why the newest reading is bad
	At         time.Time // of the newest reading; zero if there is none
	Raw        string    // what its registers hold
	LastGood   string    // the last good value beside a bad one
	LastGoodAt time.Time
	Course     [][2]float32 // lowest and highest value of each step; NaN where none came
}

// Topic is a topic that no sensor rule takes.
type Topic struct {
	Broker, Topic, Payload string
	Messages               uint64
	Last                   time.Time
}

// Client is one that the broker did not let in.
type Client struct {
	Broker, ID, Address, Why string
	Times                    uint64
	Last                     time.Time
}

// Has reports whether the gateway has a device of that name.
func (s *State) Has(device string) bool {
	return slices.ContainsFunc(s.Devices, func(d Device) bool { return d.DeviceStatus.Device == device })
}
