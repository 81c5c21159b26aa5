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
	FaultName              // what the topic captured cannot name a device or point
	FaultMissing           // the payload has no point of the rule
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
	FaultUnsupported       // a Sparkplug metric without a value: bytes, a file, a property set
	FaultPoints            // more points than a payload or device may have
	FaultDevices           // the rule has its most devices already
	FaultElements          // more elements than are read
	FaultCBOR              // not valid CBOR
	FaultMsgpack           // not valid MessagePack
	FaultInflate           // not valid gzip or zlib
	FaultLarge             // too large when it is inflated
	FaultUnit              // a number has another unit than the point
	FaultNoUnit            // a number has a unit, and the point has none
	FaultComma             // a separator in a number may be before the fraction or between thousands
	FaultTimeFormat        // a time is written in another way than the rule says
	FaultCut               // the JSON ends in the middle
	FaultSeveral           // several documents of JSON
	FaultText              // a text, but no JSON
	FaultBinary            // no text at all
	FaultWord              // a word that says neither that a device is there nor that it is gone
	Faults                 // how many there are
)

// faultWords are the name of each fault, and what it is for people.
var faultWords = [Faults]struct{ name, text string }{
	FaultNone:        {"none", ""},
	FaultEmpty:       {"empty", "the payload is empty"},
	FaultJSON:        {"not_json", "the payload is not valid JSON"},
	FaultDeep:        {"too_deep", "the JSON is nested more than 64 deep"},
	FaultName:        {"name", "topic or payload have no usable name"},
	FaultMissing:     {"missing", "the payload has none of the rule's points"},
	FaultType:        {"wrong_type", "the value is not of the point's type"},
	FaultRange:       {"out_of_range", "the value is outside the range of its type"},
	FaultNaN:         {"not_a_number", "the value is NaN or infinite"},
	FaultCSV:         {"not_csv", "the payload is not valid CSV"},
	FaultLines:       {"too_many_lines", "the CSV has more than 1000 lines"},
	FaultTime:        {"time", "no time that can be believed is where time says: that of arrival is taken"},
	FaultSparkplug:   {"not_sparkplug", "the payload is not Sparkplug B"},
	FaultUnborn:      {"not_born", "the node's birth was not seen: it is asked for again"},
	FaultGap:         {"sequence_gap", "a message of the node is missing: its birth is asked for again"},
	FaultAlias:       {"unknown_alias", "a metric that the birth did not name: it is asked for again"},
	FaultUnsupported: {"not_a_value", "a metric is bytes, a file or a property set: it is left out"},
	FaultPoints:      {"too_many_points", "there are more points than can be taken"},
	FaultDevices:     {"too_many_devices", "the rule has as many devices as max_devices allows"},
	FaultElements:    {"too_many_elements", "the list has more than 10000 elements"},
	FaultCBOR:        {"not_cbor", "the payload is not valid CBOR"},
	FaultMsgpack:     {"not_msgpack", "the payload is not valid MessagePack"},
	FaultInflate:     {"not_inflated", "the payload begins as gzip or zlib and is neither"},
	FaultLarge:       {"too_large", "inflated the payload has more than 64 times its bytes and 64 KiB, or 4 MiB"},
	FaultUnit:        {"wrong_unit", "the number has another unit than the rule says"},
	FaultNoUnit:      {"no_unit", "a unit is behind the number, and the rule says none (unit)"},
	FaultComma:       {"decimal", "it cannot be told whether a comma or point is before the fraction (decimal says it)"},
	FaultCut: {"cut",
		"the JSON of the payload ends in the middle: whatever sends it cuts it off, its buffer is too small " +
			"maybe"},
	FaultSeveral: {"several", "the payload is several documents of JSON: each: \"@this\" reads them all"},
	FaultText:    {"text", "the payload is a text, and no JSON: format: text or csv may read it"},
	FaultBinary: {"binary", "the payload is bytes, and neither JSON nor gzip or zlib: a picture, Protobuf, or packed in " +
		"another way"},
	FaultWord:       {"availability", "the word is neither that of online nor that of offline"},
	FaultTimeFormat: {"time_format", "the time is not written as format says: that of arrival is taken"},
}

func (f Fault) String() string { return faultWords[f].name }

// Text says for people what is wrong, with a point or, if that is "", at all.
func (f Fault) Text(point string) string {
	if point != "" {
		return point + ": " + faultWords[f].text
	}
	return faultWords[f].text
}

// Unreadable reports whether nothing at all could be read from a message with f
// that gave no readings.
func (f Fault) Unreadable() bool {
	switch f {
	case FaultJSON, FaultDeep, FaultCSV, FaultSparkplug, FaultCBOR, FaultMsgpack, FaultInflate, FaultLarge, FaultCut,
		FaultSeveral, FaultText, FaultBinary:
		return true
	}
	return false
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
