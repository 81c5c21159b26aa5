package main

// contest is one load, and what of its results stands in the table.
type contest struct {
	name  string
	what  string   // for the table
	flags []string // of run, for all
	who   map[string][]string
	once  bool // counts that do not vary: one run is enough
	long  bool // has a window of its own
	rows  []row
}

// row is one figure of a contest. The columns' numbers are medians.
type row struct {
	figure string // with its unit
	field  string // of the result; FIELD/FIELD is a quotient
	bare   bool   // the ratio to the bare loop tells something
}

var (
	cpu      = row{"CPU s per million readings", "CPUPer1M", true}
	percent  = row{"CPU, % of a core", "CPUPct", true}
	peak     = row{"peak memory, MiB", "PeakRSSMiB", false}
	delay50  = row{"delay p50, ms", "P50ms", false}
	delay99  = row{"delay p99, ms", "P99ms", false}
	lost     = row{"lost readings", "Lost", false}
	switches = row{"thread switches a second", "SwitchesPerS", true}
	wireSize = row{"bytes a reading on the wire", "WirePerReading", false}
	units    = row{"units of 5 KB per million readings", "UnitsPer1M", false}
	made     = row{"polls made, of those due", "Cycles/CyclesExpected", false}
)

// both are flags for Fieldbridge, before and now; more are further columns with none of their own.
func both(flags []string, more ...string) map[string][]string {
	who := map[string][]string{"before": flags, "now": flags}
	for _, m := range more {
		who[m] = nil
	}
	return who
}

func set(pairs ...string) (flags []string) {
	for _, p := range pairs {
		flags = append(flags, "-set", p)
	}
	return flags
}

func with(who map[string][]string, column string, flags ...string) map[string][]string {
	who[column] = flags
	return who
}

// contests are the loads of the table, those first that tell most.
func contests() []contest {
	plant := func(devices, registers string) []string {
		return []string{"-devices", devices, "-registers", registers}
	}
	sensors := func(rate string) []string { return []string{"-sensors", "200", "-rate", rate} }
	lifted := set("messages=0", "bytes=0")
	each := append(set("format=flat", "topic=bench/{device}"), lifted...)
	telegraf, mosquitto, mqm, bare := "Telegraf", "mosquitto", "mqmgateway", "bare loop"
	return []contest{
		{name: "A", what: "10 devices x 1,000 registers, 1 s", flags: plant("10", "1000"),
			who: both(nil, telegraf, mqm, bare), rows: []row{cpu, switches, peak, delay50, delay99, made}},
		{name: "A-spread", what: "the same, bare loop spread over the second", flags: plant("10", "1000"),
			who: map[string][]string{bare: set("spread=true")}, rows: []row{cpu}},
		{name: "A-linger0", what: "the same with linger 0", flags: plant("10", "1000"),
			who: both(set("linger=0s")), rows: []row{cpu, delay50, delay99}},
		{name: "B", what: "10 x 20, 1 s", flags: plant("10", "20"), who: both(nil, telegraf, mqm, bare),
			rows: []row{percent, switches, peak, {"of it, own memory, MiB", "AnonMiB", false},
				{"of it, pages of files, MiB", "FileMiB", false}}},
		{name: "C-2k", what: "2,000 sensor messages a second", flags: sensors("2000"),
			who: both(nil, telegraf, mosquitto, bare), rows: []row{cpu, switches, peak, delay50, delay99, lost}},
		{name: "C-each", what: "2,000/s, one message for each, a topic for each device", flags: sensors("2000"),
			who: both(each, mosquitto), rows: []row{cpu, delay50, delay99}},
		{name: "A-400", what: "400 x 1,000, 1 s", flags: append(plant("400", "1000"), "-warmup", "15s"),
			who: both(lifted, telegraf),
			rows: []row{peak, {"memory afterwards, MiB", "RSSMiB", false}, percent, made, delay99,
				{"ms to the first poll", "FirstPollMs", false}, {"ms until all were polled", "AllPolledMs", false}}},
		{name: "C-10k", what: "10,000 sensor messages a second (columns, rate lifted)", flags: sensors("10000"),
			who:  both(append(set("format=columns"), lifted...), telegraf, mosquitto, bare),
			rows: []row{cpu, lost, delay99}},
		{name: "V", what: "200 devices x 1 register, 200 ms, one message for each value",
			flags: append(plant("200", "1"), "-interval", "200ms"),
			who:   both(append(set("linger=0s"), each...), telegraf, mqm), rows: []row{cpu, delay50, delay99}},
		{name: "V-onetopic", what: "the same on one topic, packed",
			flags: append(plant("200", "1"), "-interval", "200ms"), who: both(nil, bare), rows: []row{cpu}},
		{name: "A-7-mixed", what: "7 x 1,000 at 1 s, 2 s and 500 ms, linger 0",
			flags: append(plant("7", "1000"), "-intervals", "1s,2s,500ms"),
			who:   both(set("linger=0s"), telegraf), rows: []row{cpu, switches, delay99, made}},
		{name: "A-13-mixed", what: "13 x 1,000 at 1 s, 2 s and 500 ms, linger 0",
			flags: append(plant("13", "1000"), "-intervals", "1s,2s,500ms"),
			who:   both(set("linger=0s"), telegraf), rows: []row{cpu, switches, delay99, made}},
		{name: "C-rtt50", what: "2,000 sensor messages a second, the cloud 50 ms away",
			flags: append(sensors("2000"), "-rtt", "50ms"), who: both(nil, mosquitto), rows: []row{cpu, delay50, delay99}},
		{name: "sparse", what: "10 x every 5th of 1,000 registers, devices answer after 5 ms", once: true,
			flags: append(plant("10", "1000"), "-stride", "5", "-delay", "5ms"), who: both(nil, telegraf, bare),
			rows: []row{{"requests a cycle", "RequestsPerCycle", false}, made}},
		{name: "W-rows", what: "10 x 20 of noise", flags: append(plant("10", "20"), "-mix"), once: true,
			who: both(nil, telegraf), rows: []row{wireSize, units}},
		{name: "W-columns", what: "the same in columns, linger 10 s", once: true,
			flags: append(plant("10", "20"), "-mix", "-warmup", "15s", "-quiet", "15s"),
			who:   both(set("format=columns", "linger=10s")), rows: []row{wireSize, units}},
		{name: "W-protobuf", what: "the same in protobuf", once: true,
			flags: append(plant("10", "20"), "-mix", "-warmup", "15s", "-quiet", "15s"),
			who:   map[string][]string{"now": set("format=protobuf", "linger=10s")},
			rows:  []row{wireSize, units, lost}},
		{name: "W-protobuf-columns", what: "the same in protobuf, layout columns", once: true,
			flags: append(plant("10", "20"), "-mix", "-warmup", "15s", "-quiet", "15s"),
			who:   map[string][]string{"now": set("format=protobuf", "layout=columns", "linger=10s")},
			rows:  []row{wireSize, units, lost}},
		{name: "D", what: "60 s without a cloud at 1,000 readings/s, kill -9 halfway", once: true, long: true,
			flags: append(plant("10", "100"), "-measure", "90s", "-outage", "60s", "-kill", "-quiet", "60s"),
			who:   with(both(nil), telegraf, append(set("buffer=disk", "startup=retry"), "-supervise", "1s")...),
			rows: []row{lost, {"came twice", "Duplicates", false}, made,
				{"bytes on disk a reading", "OutageWritePer", false}, {"s until the backlog comes", "DrainFirstS", false},
				{"s until it is there", "DrainS", false}}},
		{name: "D-sensors", what: "the same with 1,000 sensor messages/s", once: true, long: true,
			flags: []string{"-sensors", "100", "-rate", "1000", "-measure", "90s", "-outage", "60s", "-kill", "-quiet", "60s"},
			who:   with(both(nil), mosquitto, set("queue=200000", "autosave=10")...),
			rows: []row{lost, {"came twice", "Duplicates", false}, {"bytes on disk a reading", "OutageWritePer", false},
				{"s until it is there", "DrainS", false}}},
	}
}
