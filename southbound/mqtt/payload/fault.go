package payload

import "fieldbridge/bridge"

// Fault is why a message, or a value in it, could not be read. The names are
// label values of a metric.
type Fault uint8

const (
	FaultNone        Fault = iota
	FaultEmpty             // no payload at all
	FaultJSON              // not valid JSON
	FaultDeep              // JSON nested too deep
	FaultName              // what the topic captured can't name a device or point
	FaultMissing           // none of the rule's points is in the payload
	FaultType              // a value is of another type
	FaultRange             // a value is outside the range of its type
	FaultNaN               // NaN or infinity
	FaultCSV               // not valid CSV
	FaultLines             // more lines of CSV than are read
	FaultTime              // no time where it should be; the arrival's is taken
	FaultSparkplug         // not a Sparkplug B payload
	FaultUnborn            // a Sparkplug node whose birth was not seen
	FaultGap               // a Sparkplug message is missing
	FaultAlias             // a Sparkplug metric that no birth named
	FaultUnsupported       // a Sparkplug metric that is no value: bytes, a file, a property set
	FaultPoints            // more points than a payload or device may have
	FaultDevices           // the rule has its most devices already
	Faults                 // how many there are
)

var faultNames = [Faults]string{"none", "empty", "not_json", "too_deep", "name", "missing", "wrong_type", "out_of_range",
	"not_a_number", "not_csv", "too_many_lines", "time",
	"not_sparkplug", "not_born", "sequence_gap", "unknown_alias", "not_a_value", "too_many_points", "too_many_devices"}

var faultTexts = [Faults]string{"", "the payload is empty", "the payload is not valid JSON", "the JSON is nested more than 64 deep",
	"the topic has no usable name", "the payload has none of the rule's points", "the value is not of the point's type",
	"the value is outside the range of its type", "the value is NaN or infinite", "the payload is not valid CSV", "the CSV has more than 1000 lines",
	"there is no usable time where time says: that of arrival is taken",
	"the payload is not Sparkplug B", "the node's birth was not seen: it is asked for again", "a message of the node is missing: its birth is asked for again",
	"a metric that the birth did not name: it is asked for again",
	"a metric is bytes, a file or a property set: it is left out", "there are more points than can be taken", "the rule has as many devices as max_devices allows"}

func (f Fault) String() string { return faultNames[f] }

// Text says for people what is wrong, with a point or, if that is "", at all.
func (f Fault) Text(point string) string {
	if point != "" {
		return point + ": " + faultTexts[f]
	}
	return faultTexts[f]
}

// ValueFault returns the fault that a bad value stands for. A sensor that says
// "no value" is not at fault.
func ValueFault(v bridge.Value) Fault {
	if v.Good() {
		return FaultNone
	}
	switch v.Reason() {
	case bridge.ReasonType:
		return FaultType
	case bridge.ReasonOutOfRange:
		return FaultRange
	case bridge.ReasonNotANumber:
		return FaultNaN
	}
	return FaultNone
}
