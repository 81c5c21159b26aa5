package page

// german are the page's texts in German, by the English ones. What parts of the
// gateway say of themselves (what is wrong, why) is in English in every language; of
// what is wrong now, causes says in German what it is.
var german = map[string]string{
	"All is well": "Alles in Ordnung",
	"for %s":      "seit %s",

	"Someone must act":                                "Jemand muss eingreifen",
	"It works, and something wants a look":            "Es läuft, aber etwas braucht einen Blick",
	"The cloud is away, readings are kept":            "Die Cloud ist weg, Messwerte werden aufbewahrt",
	"%s older readings are on their way to the cloud": "%s ältere Messwerte sind auf dem Weg in die Cloud",

	"readings arrive in the cloud": "Messwerte kommen in der Cloud an",
	"nothing waits yet":            "noch wartet nichts",
	"%s reading waits here":        "%s Messwert wartet hier",
	"%s readings wait here":        "%s Messwerte warten hier",

	"the cloud may be away for %s": "die Cloud darf %s weg sein",
	"room for %s more":             "Platz für weitere %s",

	"no device has been heard yet": "noch kein Gerät hat sich gemeldet",

	"%s device":        "%s Gerät",
	"%s devices":       "%s Geräte",
	"%s value":         "%s Wert",
	"%s values":        "%s Werte",
	", all good":       ", alle gut",
	", %s of them bad": ", %s davon schlecht",
	"%d s":             "%d s",
	"%d min %d s":      "%d min %d s",
	"%d min":           "%d min",
	"%d h %d min":      "%d h %d min",
	"%d h":             "%d h",
	"%d days":          "%d Tage",

	"The gateway does not answer":    "Das Gateway antwortet nicht",
	"What you see is old: it was so": "Was hier steht, ist alt: so war es vor",
	"ago. This page goes on by itself when the gateway is back.": "Die Seite geht von selbst weiter, " +
		"wenn das Gateway wieder da ist.",

	"version":       "Version",
	"run":           "Lauf",
	"configuration": "Konfiguration",
	"on trial":      "auf Probe",
	"up for %s":     "läuft seit %s",
	"This page only shows. To change something, use": "Diese Seite zeigt nur. Zum Ändern gibt es",
	"on the gateway.": "auf dem Gateway.",
	"Log out":         "Abmelden",

	"Program":                          "Programm",
	"on trial for %s":                  "seit %s auf Probe",
	"started %s time":                  "%s-mal gestartet",
	"started %s times":                 "%s-mal gestartet",
	"it is not ready yet":              "noch nicht bereit",
	"given up in %s if this stays so:": "wird in %s aufgegeben, wenn das so bleibt:",
	"all is as before":                 "alles ist wie vorher",
	"kept in %s, as the link was down before, too:": "bleibt in %s, da die Verbindung auch vorher fehlte:",

	"Cloud":          "Cloud",
	"connected":      "verbunden",
	"not connected":  "nicht verbunden",
	"next try in %s": "nächster Versuch in %s",

	"Jobs":      "Aufträge",
	"it begins": "er beginnt",
	"it is done, the cloud does not know it yet": "er ist erledigt, die Cloud weiß es noch nicht",
	"step %s, %s %%":                         "Schritt %s, %s %%",
	"step %s":                                "Schritt %s",
	"has succeeded":                          "ist gelungen",
	"has failed":                             "ist gescheitert",
	"was rejected":                           "wurde abgelehnt",
	"has failed, what ran before runs again": "ist gescheitert, es läuft wieder, was vorher lief",

	"Queue":            "Warteschlange",
	"%s reading waits": "%s Messwert wartet",
	"%s readings wait": "%s Messwerte warten",
	"of":               "von",

	"aggregates have taken the place of %s reading":  "Für %s Messwert gibt es nur noch ein Aggregat",
	"aggregates have taken the place of %s readings": "Für %s Messwerte gibt es nur noch Aggregate",

	"%s reading was dropped":                "%s Messwert wurde verworfen",
	"%s readings were dropped":              "%s Messwerte wurden verworfen",
	"%s reading was refused by the cloud":   "%s Messwert wurde von der Cloud abgelehnt",
	"%s readings were refused by the cloud": "%s Messwerte wurden von der Cloud abgelehnt",
	"%s reading could not be read back":     "%s Messwert war nicht mehr lesbar",
	"%s readings could not be read back":    "%s Messwerte waren nicht mehr lesbar",

	"Identity":                                        "Identität",
	"it came by a claim":                              "kam über einen Claim",
	"the gateway has renewed it":                      "vom Gateway erneuert",
	"from an authority of your own":                   "von einer eigenen Zertifizierungsstelle",
	"files of the configuration":                      "Dateien der Konfiguration",
	"on trial until the cloud acknowledges a message": "auf Probe, bis die Cloud eine Nachricht bestätigt",
	"a new one is made on %s":                         "wird am %s erneuert",
	"its key can be copied":                           "der Schlüssel lässt sich kopieren",
	"its key never leaves its chip":                   "der Schlüssel verlässt seinen Chip nie",
	"valid for %s":                                    "gültig für %s",
	"expired":                                         "abgelaufen",
	"no certificate used yet":                         "noch kein Zertifikat benutzt",
	"certificate until %s":                            "Zertifikat bis %s",

	"Buses":          "Busse",
	"nobody answers": "niemand antwortet",
	"down":           "getrennt",
	"%s %% busy":     "%s %% belegt",
	"%s late cycle":  "%s verspäteter Zyklus",
	"%s late cycles": "%s verspätete Zyklen",

	"Devices":                        "Geräte",
	"find a device, a bus, a reason": "Gerät, Bus oder Grund suchen",
	"Find":                           "Suchen",
	"%d of %d":                       "%d von %d",
	"%d more: the filter finds them": "%d weitere: die Suche findet sie",
	"no device has these words":      "kein Gerät hat diese Wörter",

	"Topics that no rule takes": "Topics, die keine Regel annimmt",
	"%s message":                "%s Nachricht",
	"%s messages":               "%s Nachrichten",
	"%s ago":                    "vor %s",

	"Clients that were not let in": "Clients, die nicht eingelassen wurden",
	"once":                         "einmal",
	"%s times":                     "%s-mal",

	"Lately":                              "Zuletzt",
	"the gateway was started, version %s": "das Gateway wurde gestartet, Version %s",
	"over":                                "vorbei",
	"after %s":                            "nach %s",
	"begins":                              "beginnt",

	"and %d more":                   "und %d weitere",
	"not since the start":           "seit dem Start nicht",
	"← all devices":                 "← alle Geräte",
	"%d good":                       "%d gut",
	"%d bad":                        "%d schlecht",
	"not read well since the start": "seit dem Start nicht gut gelesen",
	"last good reading %s ago":      "letzter guter Messwert vor %s",

	"The gateway has no device of this name.": "Das Gateway hat kein Gerät dieses Namens.",

	"point":             "Punkt",
	"value":             "Wert",
	"course":            "Verlauf",
	"age":               "Alter",
	"last %s: %s to %s": "letzte %s: %s bis %s",
	"never good":        "nie gut",
	"not read yet":      "noch nicht gelesen",

	"Log in":   "Anmelden",
	"User":     "Benutzer",
	"Password": "Passwort",
	"User or password is wrong. Each wrong answer makes the next one wait longer.": "Benutzer oder Passwort " +
		"stimmt nicht. Jede falsche Antwort lässt die nächste länger warten.",
}
