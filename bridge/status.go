package bridge

import "time"

// MetricKind is the Prometheus type of a metric.
type MetricKind string

// The kinds of metrics.
const (
	Counter MetricKind = "counter"
	Gauge   MetricKind = "gauge"
)

// Metric is one sample for /metrics. Names begin with "fieldbridge_" and end
// with the unit, as Prometheus wants it.
type Metric struct {
	Name   string
	Help   string
	Kind   MetricKind
	Labels []string // key, value, key, value ...
	Value  float64
}

// Observable is a part of the gateway that has metrics.
type Observable interface {
	// Observe yields the metrics of one instant. Samples of one name follow one
	// another. It is safe for concurrent use and does not wait for I/O.
	Observe(yield func(Metric))
}

// DeviceStatus is how a device is doing, for people.
type DeviceStatus struct {
	Device string `json:"device"`
	// Original is what the device is called, if its name was made of that.
	Original string    `json:"original,omitempty"`
	Via      string    `json:"via"` // "modbus plc unit 1", "mqtt local"
	Good     int       `json:"good"`
	Bad      int       `json:"bad"`
	Reason   string    `json:"reason,omitempty"` // why the bad ones are, the most frequent
	Last     time.Time `json:"last,omitzero"`    // the last good reading
	Detail   string    `json:"detail,omitempty"` // the last error, in full
	// Unread is how many polled points have not been tried yet, since the source or the
	// device's configuration is new: they are neither good nor bad.
	Unread int `json:"-"`
}

// DeviceReporter is a source that can tell how its devices are.
type DeviceReporter interface {
	Devices() []DeviceStatus
}

// BusStatus is how a bus is doing, for people.
type BusStatus struct {
	Bus     string `json:"bus"`
	Address string `json:"address"`
	// Load is the share of the bus's time that the polling takes, as measured;
	// above 1 it cannot do what is asked.
	Load     float64 `json:"load"`
	Requests uint64  `json:"requests"`    // since the start, with retries
	Late     uint64  `json:"late_cycles"` // since the start
	// Down is since when there is no connection, zero while there is one.
	Down   time.Time `json:"down,omitzero"`
	Detail string    `json:"detail,omitempty"` // why it is down
	// Silent is since when none of a line's units answers, zero while one does.
	Silent time.Time `json:"silent,omitzero"`
}

// LinkStatus is how the uplink is doing, for people.
type LinkStatus struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Endpoint  string    `json:"endpoint"`
	Detail    string    `json:"detail,omitempty"` // why not, and what to do
	Retry     time.Time `json:"retry,omitzero"`   // when the next try is due
	TLS       string    `json:"tls,omitempty"`    // version and cipher of the connection

	Own    *CertificateStatus `json:"certificate,omitempty"`        // ours, as last used
	Server *CertificateStatus `json:"server_certificate,omitempty"` // of the connection
	// Identity is how the gateway came by its certificate; nil if that is not known yet.
	Identity *IdentityStatus `json:"identity,omitempty"`
}

// IdentityStatus is how the gateway came by its certificate and key, and what becomes
// of them.
type IdentityStatus struct {
	Way      string    `json:"way"`                // "claim", "trusted", "rotation", "own ca", "files", "none"
	Key      string    `json:"key,omitempty"`      // where it lives: "in a file"
	Copyable bool      `json:"copyable"`           // who reads the key file has the key
	Weakness string    `json:"weakness,omitempty"` // of a key in a chip, for people
	ID       string    `json:"id,omitempty"`       // AWS's, of the certificate
	Trial    bool      `json:"trial,omitempty"`    // the cloud has acknowledged nothing with it yet
	Since    time.Time `json:"since,omitzero"`     // the first acknowledgement
	// Rotates is when another is made; zero if nobody makes one.
	Rotates time.Time `json:"rotates,omitzero"`
	Unused  []string  `json:"unused,omitempty"` // files that the configuration names in vain
	Failed  string    `json:"failed,omitempty"` // why the last new one was given up
}

// CertificateStatus is what people want to know of a certificate.
type CertificateStatus struct {
	Subject string    `json:"subject"`
	Issuer  string    `json:"issuer"`
	Expires time.Time `json:"expires"`
}
