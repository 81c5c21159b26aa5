package page

// causes are what is wrong in German, by the codes of package condition: what it is,
// and what to do. Names, numbers and reasons stand in the sentence of the part that
// raised it, which follows in English; so a cause says only what is true of each of
// its kind.
var causes = map[string]string{
	"queue_unwritable": "Die Warteschlange kann nicht geschrieben werden. Die neuesten Messwerte liegen nur im " +
		"Arbeitsspeicher, was dort keinen Platz hat, geht verloren.",
	"queue_unreadable": "Ein Teil der Warteschlange kann weder gelesen noch repariert werden; es wird weiter versucht.",
	"queue_damaged":    "Eine beschädigte Datei wurde beiseitegelegt. Bitte den Datenträger prüfen.",
	"queue_misplaced":  "Die Warteschlange liegt an einem Ort, an dem sie nicht sicher ist: store.dir ändern.",
	"queue_journal":    "Das Journal im gemeinsamen Speicher ist nicht, wie es sein soll.",
	"queue_overrun": "Es kommt mehr, als der Datenträger aufnimmt; die ältesten Messwerte im Speicher gehen verloren. " +
		"Weniger oder seltener abfragen, oder einen schnelleren Datenträger nehmen.",
	"queue_turned_down": "store.flash_budget hält das Schreiben zurück: ein Stromausfall nimmt mehr Messwerte mit " +
		"als sonst.",
	"queue_overdrawn": "Es wird mehr geschrieben, als store.flash_budget erlaubt. Seltener abfragen, die Verbindung " +
		"zur Cloud wiederherstellen, oder mehr erlauben.",
	"queue_drops_oldest": "Es ist kein Platz mehr: die ältesten Messwerte gehen verloren.",
	"queue_refuses_new":  "Es ist kein Platz mehr: neue Messwerte werden nicht angenommen.",
	"queue_thins": "Die Warteschlange ist fast voll: von den ältesten Messwerten bleiben nur Aggregate. Die Verbindung " +
		"zur Cloud wiederherstellen, oder store.max_size erhöhen.",
	"dead_letters": "Die Cloud hat Messwerte endgültig abgelehnt. 'fieldbridge queue dead list' sagt, warum; danach " +
		"noch einmal senden oder löschen.",
	"queue_of_another": "Hier warten Messwerte, die ein Gateway anderen Namens gemessen hat; sie gehen unter jenem " +
		"Namen hinaus. Wurde dieses nicht umbenannt und nicht an seine Stelle gesetzt: anhalten.",
	"state_damaged": "Etwas Gemerktes ist verloren und wird neu gelernt. Bitte den Datenträger prüfen.",
	"state_unsaved": "Was gelernt wurde, kann nicht gespeichert werden.",

	"uplink_down": "Die Cloud ist nicht erreichbar. Messwerte werden aufbewahrt, und es geht von selbst weiter.",
	"uplink_refused": "Die Verbindung zur Cloud kommt nicht zustande, bis jemand etwas ändert. Messwerte werden " +
		"aufbewahrt.",
	"uplink_silent": "Verbunden, aber die Cloud bestätigt nichts.",
	"session_taken": "Ein anderer Client hat unsere Sitzung übernommen, nicht zum ersten Mal in einer Stunde: zwei " +
		"Gateways haben dieselbe Identität. Jedem sein eigenes Zertifikat geben.",
	"session_taken_once": "Ein anderer Client hatte unsere Sitzung einmal übernommen, wir haben sie wieder. Nichts " +
		"zu tun, wenn jemand diese Identität anderswo ausprobiert hat.",
	"session_contested": "Die Cloud beendet eine Verbindung nach der anderen, ohne zu sagen, warum. Benutzt ein anderes " +
		"Gateway dieselbe Identität?",
	"certificate_expired":   "Unser Zertifikat ist abgelaufen: ein neues an seine Stelle legen.",
	"certificate_expires":   "Unser Zertifikat läuft in wenigen Tagen ab: ein neues machen lassen.",
	"certificate_ending":    "Unser Zertifikat läuft in einigen Wochen ab: ein neues machen lassen.",
	"identity_awaited":      "Das Gateway hat noch keine Identität. Es liest und bewahrt auf.",
	"identity_not_renewed":  "Das Zertifikat des Gateways konnte nicht erneuert werden.",
	"claim_left":            "Der Claim wird nicht mehr gebraucht und ließ sich nicht entfernen: von Hand entfernen.",
	"identity_files_unused": "Zertifikat und Schlüssel der Konfiguration werden nicht benutzt: das Gateway hat eigene.",
	"topic_denied": "Die Cloud nimmt Nachrichten zu einem Topic nicht an, sie warten: die Policy des Zertifikats muss " +
		"iot:Publish dafür erlauben.",
	"executions_avoided": "Die Cloud bietet hier keine AWS IoT Commands: northbound.awsiot.commands.executions weglassen.",
	"commands_off": "Befehle der Cloud werden abgelehnt, sie sind an der Maschine abgeschaltet. 'fieldbridge " +
		"commands on' lässt sie wieder zu.",

	"bus_down":            "Zum Bus besteht keine Verbindung. Strom, Kabel und Adresse prüfen.",
	"bus_silent":          "Auf der Leitung antwortet niemand. Baudrate, Parität, Verdrahtung und Abschluss prüfen.",
	"bus_overloaded":      "Vom Bus wird mehr verlangt, als er leisten kann: seltener abfragen, oder weniger Punkte.",
	"device_down":         "Das Gerät antwortet nicht, wie es soll.",
	"device_bad":          "Das Gerät antwortet, aber keiner seiner Werte ist gut.",
	"device_lacks_models": "Dem Gerät fehlen SunSpec-Modelle.",
	"points_given_up": "Punkte werden nicht mehr gelesen, da das Gerät sie ablehnt. Adresse und Tabelle in seiner " +
		"Anleitung prüfen: manche zählen ab 1.",
	"points_silent": "Auf einige Punkte antwortet das Gerät nicht, auf andere schon. Ihre Adressen prüfen.",
	"upkeep_fails":  "Was das Gateway von sich aus schreibt, kommt im Gerät nicht an.",

	"site_broker_down":       "Der Broker der Anlage ist nicht benutzbar.",
	"site_broker_denies":     "Der Broker der Anlage lehnt das Abonnement ab: dort erlauben.",
	"site_message_too_large": "Eine Nachricht vom Broker der Anlage ist zu groß und wird übergangen.",
	"sensors_shut_out":       "Kein Sensor kann sich verbinden.",
	"sensor_takes_memory":    "Ein Client verlangt mehr Speicher, als es dafür gibt.",
	"sensors_refused":        "Anmeldungen von Sensoren wurden abgelehnt; das Log nennt Benutzer und Adresse.",
	"client_refused":         "Ein Client wird immer wieder abgelehnt.",
	"client_loses_messages":  "Von einem Client kommt nicht alles an.",
	"clients_share_id":       "Clients mit derselben Client-ID werfen einander hinaus: jedem seine eigene geben.",

	"console_closed": "Diese Seite kann nicht geöffnet werden.",
	"console_file":   "Eine Datei dieser Seite (Passwörter, Token, Zertifikat) ist nicht in Ordnung.",

	"sensor_silent":  "Vom Gerät kommt länger nichts, als die Regel erlaubt.",
	"sensor_quiet":   "Vom Gerät kommt länger nichts, als es bisher üblich war.",
	"sensors_silent": "Mehrere Geräte mit etwas Gemeinsamem schweigen: dort nachsehen, worüber sie kommen.",
	"sensors_quiet":  "Mehrere Geräte mit etwas Gemeinsamem schweigen: dort nachsehen, worüber sie kommen.",
	"sensors_offline": "Das Gateway mehrerer Sensoren hat sich abgemeldet, oder sein letzter Wille sagt es: Strom und " +
		"Netz prüfen.",
	"sensor_unread": "Nachrichten kommen, aber keine ist lesbar. 'fieldbridge sensors' zeigt sie; dann die " +
		"Regel ändern.",
	"sensor_partly_read": "Ein Teil jeder Nachricht ist nicht lesbar. 'fieldbridge sensors' zeigt sie; dann die " +
		"Regel ändern.",
	"sensor_bad": "Alle Werte sind schlecht, wie das Gerät selbst sagt: dort nachsehen.",
	"sensor_offline": "Das Gerät ist offline, wie es selbst oder sein letzter Wille gesagt hat: Strom und Netz " +
		"Netz prüfen.",
	"sensor_clock": "Die Uhr des Geräts geht falsch, oder es sagt keine Zeit; die Zeit der Ankunft wird genommen.",
	"more_sensors": "Noch mehr Geräte haben etwas. Zuerst beheben, was hier steht.",
	"rule_silent":  "Für eine Regel kommt keine Nachricht, obwohl sie eine erwartet.",
	"rule_unheard": "Für eine Regel kommt keine Nachricht.",

	"memory_tight":  "Der Speicher ist knapp: was nur Menschen ansehen, wird weggelassen. Es endet von selbst.",
	"part_hangs":    "Ein Teil des Gateways bewegt sich nicht mehr: neu starten, dabei geht nichts verloren.",
	"power_fails":   "Der Strom fällt gleich aus: was kommt, ist in 100 ms auf dem Datenträger.",
	"job_failed":    "Ein Auftrag der Cloud ist gescheitert.",
	"job_stuck":     "Ein Auftrag der Cloud kommt nicht voran, oder sein Ergebnis nicht an.",
	"file_not_used": "Die Konfigurationsdatei wird nicht benutzt, wie sie jetzt ist.",
}
