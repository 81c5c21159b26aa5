package condition

// The kinds, by the part that raises them. A part adds what stands for %s and the
// like; where that is all of the sentence, it ends in what to do.
var (
	// QueueUnwritable: advice.
	QueueUnwritable = declare("queue_unwritable", Alarm,
		"the queue cannot be written, the newest readings are kept in memory, what is more is dropped", "%s")
	// QueueUnreadable: advice.
	QueueUnreadable = declare("queue_unreadable", Alarm,
		"a segment of the queue cannot be read or repaired, trying again", "%s")
	// QueueDamaged: the damage, and the file that was set aside.
	QueueDamaged = declare("queue_damaged", Warning,
		"%v", "%s is kept for a closer look; check the disk")
	// QueueJournal: why it is not as it should be, and what to do.
	QueueJournal = declare("queue_journal", Warning, "%v", "%s")
	QueueOverrun = declare("queue_overrun", Alarm,
		"more comes than the disk takes, the oldest readings in memory are dropped",
		"poll fewer points or less often, or give the queue a faster disk")
	// QueueDropsOldest: what to do; it depends on what is full.
	QueueDropsOldest = declare("queue_drops_oldest", Alarm,
		"the queue is full and drops its oldest readings", "%s")
	// QueueRefusesNew: what to do, as before.
	QueueRefusesNew = declare("queue_refuses_new", Alarm,
		"the queue is full and takes no new readings", "%s")
	// DeadLetters: how many batches.
	DeadLetters = declare("dead_letters", Warning,
		"%d batches were refused by the cloud for good",
		"see why with 'fieldbridge queue dead list', then retry or purge them")
	// StateDamaged: what could not be read, and why.
	StateDamaged = declare("state_damaged", Warning,
		"state %q cannot be read and starts afresh: %s", "check the disk")
	// StateUnsaved: advice.
	StateUnsaved = declare("state_unsaved", Warning, "what was learnt cannot be saved", "%s")

	// UplinkDown: why, with what to do. It mends itself when the cause goes.
	UplinkDown = declare("uplink_down", Warning, "%s", "")
	// UplinkRefused: why, with what someone must do.
	UplinkRefused = declare("uplink_refused", Alarm, "%s", "")
	UplinkSilent  = declare("uplink_silent", Alarm,
		"connected again, but the cloud acknowledges nothing",
		"lower northbound.awsiot.rate if it goes on, else ask AWS")
	// SessionTaken: when.
	SessionTaken = declare("session_taken", Alarm,
		"another client took our session over at %s",
		"if it happens again, two gateways have one client id, give each its own certificate")
	// CertificateExpired: when.
	CertificateExpired = declare("certificate_expired", Alarm,
		"our certificate has expired on %s", "put a new one in its place")
	// CertificateExpires: when, in days.
	CertificateExpires = declare("certificate_expires", Alarm,
		"our certificate expires on %s", "have a new one made")
	// CertificateEnding: when, in weeks.
	CertificateEnding = declare("certificate_ending", Warning,
		"our certificate expires on %s", "have a new one made")
	// TopicDenied: the topic.
	TopicDenied = declare("topic_denied", Alarm,
		"the cloud refuses messages to %s (PUBACK 0x87, not authorized), they wait",
		"the certificate's policy must allow iot:Publish to it")
	ExecutionsAvoided = declare("executions_avoided", Warning,
		"the cloud ends the connection when we subscribe to the executions of AWS IoT Commands",
		"leave out northbound.awsiot.commands.executions unless its Region has them")
	CommandsOff = declare("commands_off", Warning,
		"all commands of the cloud are refused, they are switched off on the machine",
		"'fieldbridge commands on' lets them in again")

	// BusDown: why, and the bus's address.
	BusDown = declare("bus_down", Warning, "%s", "check that %s is on and can be reached")
	// BusOverloaded: the load in percent.
	BusOverloaded = declare("bus_overloaded", Warning,
		"more is asked of it than it can do (%.0f %%), some cycles are left out", "poll less often, or fewer points")
	// DeviceDown: why.
	DeviceDown = declare("device_down", Warning, "%s", "check that it is on and that its unit id is right")
	// DeviceLacksModels: which, with what to do.
	DeviceLacksModels = declare("device_lacks_models", Warning, "%s", "")
	// PointsGivenUp: how many, and what was learnt of the device.
	PointsGivenUp = declare("points_given_up", Warning,
		"%d of its points are not read any more, it %v", "check their addresses; they are tried again, ever more seldom")

	// SiteDown: why, with what to do.
	SiteDown = declare("site_broker_down", Warning, "%s", "")
	// SiteDenies: the topics.
	SiteDenies = declare("site_broker_denies", Alarm,
		"the broker refuses the subscription to %s", "allow it there")
	// SensorsShutOut: why, with what to do.
	SensorsShutOut = declare("sensors_shut_out", Alarm, "no sensor can connect", "%s")

	// SensorTakesMemory: the client, and what it has too much of.
	SensorTakesMemory = declare("sensor_takes_memory", Warning,
		"the client %s has asked for more memory than there is for %s", "see what it is and what it sends")
	// SensorsRefused: how many.
	SensorsRefused = declare("sensors_refused", Warning,
		"%d logins of sensors were refused in the last minute",
		"the log names user and address; if nobody changed a password, somebody guesses")

	// FileNotUsed: why, with what to do.
	FileNotUsed = declare("file_not_used", Warning, "%s", "")
)

// declared are all kinds, in the order of their declaration.
var declared []*Kind

func declare(code string, s Severity, sentence, action string) *Kind {
	k := &Kind{code, s, sentence, action}
	declared = append(declared, k)
	return k
}

// Kinds returns all that can be wrong, in the order of the list.
func Kinds() []*Kind { return declared }
