package bridge

import "time"

// Reading is the value of one point at the time of its [Batch].
type Reading struct {
	Point string // [a-z][a-z0-9_]*
	Value Value
}

// Batch is the readings of one device from one poll cycle or one message: the
// unit of storage, order and deduplication.
type Batch struct {
	// Device is the device's name: 1 to 64 letters, digits, '.', '_' or '-'.
	Device string
	// At is when the readings were acquired. It may carry Go's monotonic clock.
	At time.Time
	// Unsynced says that the wall clock was not known to be right at At.
	Unsynced bool
	// Whole says that someone asked for these readings: they are delivered though
	// they have not changed. It is not kept with the batch.
	Whole bool
	// Size is about how many bytes the batch takes in a message in company of
	// others, as [Measure] says; 0 if it was not measured. It is not kept on disk.
	Size int32
	// Held is how many messages of its sender wait for their acknowledgement with
	// this one, if it sends no more until then; 0 if it may send more. It is not
	// kept with the batch.
	Held int32
	// Readings has each point at most once. Who receives the batch owns the
	// slice; nobody changes it afterwards.
	Readings []Reading
}

// Position is the queue's own number of a batch: it grows without gaps within
// one queue directory and is not seen outside.
type Position uint64

// Entry is a batch as the queue hands it out: numbered and claimed.
type Entry struct {
	Batch
	Position Position
	// Run and Seq name the batch for ever, with the gateway's name: the same
	// three always mean the same readings.
	Run string
	Seq uint64
	// Origin is who measured it, nil if that is the gateway that sends it. All who read
	// it share it: it does not change.
	Origin *Origin
	// Backlog says that the batch was queued before the current connection began.
	Backlog bool
	// Waiting says that a sensor waits for its acknowledgement until the batch
	// is safe: it is not kept back for company.
	Waiting bool
}

// Origin is who measured: a gateway, as it was then. A queue may hold what another
// gateway measured, or the same one under other labels.
type Origin struct {
	Gateway string            `json:"gateway"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// Message is a topic and a payload that carries one or more batches.
type Message struct {
	Topic       string
	Payload     []byte
	ContentType string
}
