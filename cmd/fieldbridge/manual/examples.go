package manual

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are commands as they are typed, a line each, by what follows
// "fieldbridge" in the path of a command. A test parses them all.
var examples = map[string]string{
	"demo": "demo --outage 20s\ndemo --for 1m --dir demo",
	"init": "init\ninit plant.yaml --gateway press-line-2 --endpoint a1b2-ats.iot.eu-central-1.amazonaws.com",
	"check": "check fieldbridge.yaml\ncheck fleet.yaml --gateway press-line-2\n" +
		"check fieldbridge.yaml --json",
	"test":               "test fieldbridge.yaml\ntest fieldbridge.yaml --json",
	"identity check":     "identity check fieldbridge.yaml",
	"identity provision": "identity provision fieldbridge.yaml --claim /run/claim",
	"identity rotate":    "identity rotate fieldbridge.yaml",
	"identity csr":       "identity csr fieldbridge.yaml",
	"identity install":   "identity install fieldbridge.yaml certificate.pem",
	"fleet list":         "fleet list fleet.yaml\nfleet list fleet.yaml --json",
	"fleet check":        "fleet check fleet.yaml\nfleet check fleet.yaml --json",
	"fleet render":       "fleet render fleet.yaml --gateway press-line-2 --origin",
	"fleet diff":         "fleet diff old.yaml new.yaml\nfleet diff old.yaml new.yaml --json",
	"fleet policy":       "fleet policy fleet.yaml --account 123456789012",
	"fleet template":     "fleet template fleet.yaml --account 123456789012",
	"run":                "run fieldbridge.yaml",
	"reload":             "reload fieldbridge.yaml --confirm 5m --wait",
	"decode":             "decode message.bin --catalog status.txt",
	"connect":            "connect fieldbridge.yaml",
	"update status":      "update status fieldbridge.yaml",
	"update install":     "update install /media/usb/fieldbridge-1.2.0 fieldbridge.yaml",
	"update commit":      "update commit fieldbridge.yaml",
	"update rollback":    "update rollback fieldbridge.yaml",
	"status":             "status fieldbridge.yaml\nstatus /var/lib/fieldbridge/queue --json",
	"values":             "values\nvalues boiler fieldbridge.yaml\nvalues boiler --watch",
	"commands":           "commands\ncommands off fieldbridge.yaml",
	"sensors":            "sensors fieldbridge.yaml",
	"queue inspect":      "queue inspect fieldbridge.yaml",
	"queue verify":       "queue verify /var/lib/fieldbridge/queue",
	"queue export":       "queue export fieldbridge.yaml --device boiler --since 36h -o boiler.csv",
	"queue purge":        "queue purge fieldbridge.yaml",
	"queue dead list":    "queue dead list fieldbridge.yaml --limit 20",
	"queue dead retry": "queue dead retry fieldbridge.yaml\n" +
		"queue dead retry fieldbridge.yaml --json",
	"queue dead purge": "queue dead purge fieldbridge.yaml",
	"ledger":           "ledger messages.jsonl\nledger --partial --json messages.jsonl",
	"modbus read": "modbus read fieldbridge.yaml boiler.supply_temp\nmodbus read tcp://192.168.1.50 input:100 --type " +
		"float32\n" +
		"modbus read rtu:///dev/ttyUSB0 holding:0-9 --unit 3 --baud 9600 --every 1s",
	"modbus write": "modbus write fieldbridge.yaml boiler.setpoint 21.5\n" +
		"modbus write tcp://192.168.1.50 holding:20 231 --unit 1 --yes",
	"modbus decode": "modbus decode 42AB 47AE\nmodbus decode tcp://192.168.1.50 input:100 --expect 72",
	"modbus scan": "modbus scan tcp://192.168.1.50\nmodbus scan rtu:///dev/ttyUSB0 --line\n" +
		"modbus scan tcp://192.168.1.50 --addresses holding:0-999",
	"modbus raw":       "modbus raw tcp://192.168.1.50 2b 0e 01 00",
	"modbus replay":    "modbus replay support.zip --bus plc",
	"support":          "support support.zip fieldbridge.yaml",
	"profiles":         "profiles\nprofiles sdm630",
	"profiles import":  "profiles import registers.csv --name heatpump > heatpump.yaml",
	"cloud":            "cloud --listen 127.0.0.1:8883 --dir cloud",
	"cloud send":       "cloud send press-line-2 boiler.setpoint=21.5",
	"sensors forget":   "sensors forget oven",
	"sensors password": "sensors password",
	"version":          "version\nversion --json",
	"help":             "help\nhelp queue export",
}

// Add gives each command below root its examples.
func Add(root *cobra.Command) {
	for path, lines := range examples {
		if c, rest, err := root.Find(strings.Fields(path)); err == nil && len(rest) == 0 && c != root {
			c.Example = "  " + root.Name() + " " + strings.ReplaceAll(lines, "\n", "\n  "+root.Name()+" ")
		}
	}
}
