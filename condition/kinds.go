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
	// QueueMisplaced: where it lies and what comes of that; what to do.
	QueueMisplaced = declare("queue_misplaced", Warning, "%s", "%s")
	// QueueJournal: why it is not as it should be, and what to do.
	QueueJournal = declare("queue_journal", Warning, "%v", "%s")
	QueueOverrun = declare("queue_overrun", Alarm,
		"more comes than the disk takes, the oldest readings in memory are dropped",
		"poll fewer points or less often, or give the queue a faster disk")
	// QueueTurnedDown: how long.
	QueueTurnedDown = declare("queue_turned_down", Warning,
		"store.flash_budget holds commits back: a power cut takes up to %s of polled readings, and so long a sensor waits "+
			"for its acknowledgement while there is no connection",
		"bring the uplink back, or give it more")
	// QueueOverdrawn: the budget.
	QueueOverdrawn = declare("queue_overdrawn", Warning,
		"more is written to the disk than store.flash_budget %s, since the memory holds no more or it was held back "+
			"for ten minutes",
		"poll less, bring the uplink back, or give it more")
	// QueueDropsOldest: what is full, as "the queue is full and", and what to do.
	QueueDropsOldest = declare("queue_drops_oldest", Alarm,
		"%s drops its oldest readings", "%s")
	// QueueRefusesNew: what is full and what to do, as before.
	QueueRefusesNew = declare("queue_refuses_new", Alarm,
		"%s takes no new readings", "%s")
	QueueThins = declare("queue_thins", Warning,
		"the queue is nearly full: of its oldest readings only aggregates are kept",
		"restore the uplink, or raise store.max_size")
	// DeadLetters: how many batches.
	DeadLetters = declare("dead_letters", Warning,
		"%d batches were refused by the cloud for good",
		"see why with 'fieldbridge queue dead list', then retry or purge them")
	// QueueOfAnother: how many batches, and whose.
	QueueOfAnother = declare("queue_of_another", Warning,
		"%d batches wait that %s measured: they go out under that name, over this gateway's session",
		"nothing if this gateway was renamed or has taken the other's place; else stop it: "+
			"it has the other's queue, or a copy")
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
		"another client took our session over at %s, and not for the first time within an hour",
		"two gateways have one client id, give each its own certificate")
	// SessionTakenOnce: when.
	SessionTakenOnce = declare("session_taken_once", Warning,
		"another client took our session over at %s, and we have it back",
		"nothing if someone tried this identity elsewhere, say with 'fieldbridge identity check --connect'; if it happens "+
			"again, two gateways have it")
	// SessionContested: how many connections, and our client id.
	SessionContested = declare("session_contested", Warning,
		"the cloud has ended %d connections in a row without a word, each soon and though it worked",
		"see whether another gateway uses the client id %q (with a copy of these files, say), else what stands between")
	// CertificateExpired: when.
	CertificateExpired = declare("certificate_expired", Alarm,
		"our certificate has expired on %s", "put a new one in its place")
	// CertificateExpires: when, in days.
	CertificateExpires = declare("certificate_expires", Alarm,
		"our certificate expires on %s", "have a new one made")
	// CertificateEnding: when, in weeks.
	CertificateEnding = declare("certificate_ending", Warning,
		"our certificate expires on %s", "have a new one made")
	// IdentityAwaited: why, with what is done or to be done about it.
	IdentityAwaited = declare("identity_awaited", Alarm, "readings wait until the gateway has an identity: %s", "")
	// IdentityNotRenewed: why.
	IdentityNotRenewed = declare("identity_not_renewed", Warning, "the gateway's certificate could not be renewed: %s",
		"it is tried again within a day, or at once with 'fieldbridge identity rotate'; what an authority of your own has "+
			"signed when it is installed again")
	// ClaimLeft: why.
	ClaimLeft = declare("claim_left", Warning,
		"the claim is no longer needed and could not be removed (%v)", "remove it, and see who else can read it")
	// FilesUnused: the first of them.
	FilesUnused = declare("identity_files_unused", Warning,
		"%s is not used, the gateway has an identity of its own", "remove certificate and private_key from northbound.awsiot")
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

	// BusDown: why, and what to check.
	BusDown = declare("bus_down", Warning, "%s", "check %s")
	// BusSilent: which units do not answer, and what to check.
	BusSilent = declare("bus_silent", Warning, "%s", "%s")
	// BusOverloaded: the load in percent.
	BusOverloaded = declare("bus_overloaded", Warning,
		"more is asked of it than it can do (%.0f %%), some cycles are left out", "poll less often, or fewer points")
	// DeviceDown: why, and what to check.
	DeviceDown = declare("device_down", Warning, "%s", "%s")
	// DeviceBad: when, why most of them, what to do.
	DeviceBad = declare("device_bad", Warning, "it answers, and none of its points has been good since %s (%s)", "%s")
	// DeviceLacksModels: which, with what to do.
	DeviceLacksModels = declare("device_lacks_models", Warning, "%s", "")
	// PointsGivenUp: which are not there, or too long.
	PointsGivenUp = declare("points_given_up", Warning,
		"%s", "check address and table in its manual, some count from 1; it is tried again, ever more seldom")
	// PointsSilent: which get.
	PointsSilent = declare("points_silent", Warning,
		"%s no answer, while others of the device do",
		"the gateway asks for their parts, too, and again ever more seldom; check their addresses, or give the device a "+
			"smaller max_words")

	// UpkeepFails: what, and why.
	UpkeepFails = declare("upkeep_fails", Warning,
		"what the gateway writes to it by itself does not arrive: %s, %s", "see what the device allows, and its manual")

	// SiteDown: why, with what to do.
	SiteDown = declare("site_broker_down", Warning, "%s", "")
	// SiteDenies: the topics.
	SiteDenies = declare("site_broker_denies", Alarm,
		"the broker refuses the subscription to %s", "allow it there")
	// SiteTooLarge: the bytes, the topic, how many.
	SiteTooLarge = declare("site_message_too_large", Warning,
		"a message of %d bytes on %s is skipped, more than the 2 MiB that are taken of a site broker (%d times)",
		"let it say less at once, or leave its topic out of the rules")
	// SensorsShutOut: why, with what to do.
	SensorsShutOut = declare("sensors_shut_out", Alarm, "no sensor can connect", "%s")

	// SensorTakesMemory: the client, and what it has too much of.
	SensorTakesMemory = declare("sensor_takes_memory", Warning,
		"the client %s has asked for more memory than there is for %s", "see what it is and what it sends")
	// SensorsRefused: how many.
	SensorsRefused = declare("sensors_refused", Warning,
		"%d logins of sensors were refused in the last minute",
		"the log names user and address; if nobody changed a password, somebody guesses")

	// ClientRefused: the client, why, and what to do.
	ClientRefused = declare("client_refused", Warning, "the client %s is refused, %s", "%s")
	// ClientLoses: the client, what is not taken, and what to do.
	ClientLoses = declare("client_loses_messages", Warning, "not all of the client %s is taken, %s", "%s")
	// ClientsShareID: the client, both addresses, and what to do.
	ClientsShareID = declare("clients_share_id", Warning, "the client %s loses its connection again and again, %s", "%s")

	// ConsoleClosed: why, with what to do.
	ConsoleClosed = declare("console_closed", Warning, "nobody can look at the console: %s", "")
	// ConsoleFile: what does not work for it, why, and what to do.
	ConsoleFile = declare("console_file", Warning, "a file of the console is broken: %s", "")

	// SensorSilent: since when, and what is known of it; what to do. The rule says how
	// long it may be silent.
	SensorSilent = declare("sensor_silent", Alarm, "nothing has come from it since %s%s", "%s")
	// SensorQuiet: the same, by what it did so far.
	SensorQuiet = declare("sensor_quiet", Warning, "nothing has come from it since %s%s", "%s")
	// SensorsSilent: how many and what they have in common, their names, since when.
	SensorsSilent = declare("sensors_silent", Alarm,
		"all %d devices %s are silent (%s), the last was heard %s", "%s")
	// SensorsQuiet: the same, by what they did so far.
	SensorsQuiet = declare("sensors_quiet", Warning,
		"all %d devices %s are silent (%s), the last was heard %s", "%s")
	// SensorUnread: since when, and why; its rule.
	SensorUnread = declare("sensor_unread", Alarm,
		"its messages come, and since %s none can be read, its payload has changed or was never as the rule says: %s",
		"see what it sends with 'fieldbridge sensors', then change rule %s")
	// SensorPartlyRead: since when, and why; its rule.
	SensorPartlyRead = declare("sensor_partly_read", Warning,
		"since %s a part of each message cannot be read: %s",
		"see what it sends with 'fieldbridge sensors', then change rule %s")
	// SensorBad: since when, and the reason that most points have.
	SensorBad = declare("sensor_bad", Warning,
		"all its points are bad (%[2]s) since %[1]s", "see what is the matter with the device, it says so itself")
	// SensorOffline: when.
	SensorOffline = declare("sensor_offline", Warning,
		"it is offline: it, or its last will, said so at %s", "see whether it has power and network")
	// SensorsOffline: when, how many devices, and their names.
	SensorsOffline = declare("sensors_offline", Warning,
		"the gateway of sensors that speaks there is offline: it, or its last will, said so at %s, of %d devices (%s)",
		"see whether it has power and network")
	// SensorClock: since when; its rule.
	SensorClock = declare("sensor_clock", Warning,
		"since %s its clock is wrong, or it says no time: the time of arrival is taken",
		"set the clock of the device, or correct time of rule %s")
	// MoreSensors: how many.
	MoreSensors = declare("more_sensors", Warning,
		"%d more devices have something", "see the list of devices in 'fieldbridge status', and mend the others first")
	// RuleSilent: since when, and what is known of it; what to do.
	RuleSilent = declare("rule_silent", Alarm, "no message has come for it since %s%s", "%s")
	// RuleUnheard: the same, where the rule does not say how often one should.
	RuleUnheard = declare("rule_unheard", Warning, "no message has come for it since %s%s", "%s")

	// MemoryTight: MiB in use and allowed, and by whom.
	MemoryTight = declare("memory_tight", Warning,
		"memory is short, %d MiB are in use of %d MiB that %s allows: what only people look at is left out (the last "+
			"hour of points, what was seen on topics, recorded frames), and fewer messages are sent at a time",
		"give it more memory, or fewer devices, sensors or topics; it ends by itself")

	// PartHangs: which, and for how long over its time.
	PartHangs = declare("part_hangs", Alarm,
		"the %s does not move any more, for %v longer than it may",
		"restart the gateway, which loses nothing; systemd's watchdog does it by itself")
	PowerFails = declare("power_fails", Alarm,
		"the power is about to fail: what comes is on disk within 100 ms",
		"nothing; 'kill -USR1' says that it is back, and after 5 min without a failure it is taken to be")

	// JobFailed: the job, its operation, why; what to do.
	JobFailed = declare("job_failed", Warning, "the job %s of the cloud (%s) has failed: %s", "%s")
	// JobStuck: the job, its operation, and where.
	JobStuck = declare("job_stuck", Warning, "the job %s of the cloud (%s) %s",
		"see the log; a restart of the gateway goes on with it, and who gave it can cancel it by force")

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
