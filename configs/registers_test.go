package configs

import (
	"fmt"
	"strings"
	"testing"

	"fieldbridge/configs/registers"
)

// withProfile is a configuration whose one device has the profile imported.
func withProfile(l *registers.List) []byte {
	return fmt.Appendf(nil, `%s
gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: certs/device.pem
    private_key: certs/device.key
    topic: "plant/{gateway}"
southbound:
  modbus:
    devices:
      device: {url: "tcp://127.0.0.1", profile: imported}
`, l.YAML("imported", "list.csv"))
}

// What is made of a list is what a configuration takes.
func TestImportedListIsTaken(t *testing.T) {
	l, err := registers.Read(strings.NewReader(`address;name;type;scale;unit;function;writable;min;max;length;values
40001;Supply temperature;int16;0,1;°C;3;ro;;;1;
40002;Setpoint "A";uint16;0,1;°C;3;rw;5;60;1;
40003;Mode;uint16;;;3;r;;;1;0=off: all; 1="on"
40010;Energy;uint32 swapped;1/1000;kWh;3;r;;;2;
40020;Model;string;;;3;r;;;8;
00001;Pump;bool;;;1;rw;;;1;
40030;Reset;uint16;;;3;wo;0;1;1;
`), registers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Parse("imported.yaml", withProfile(l))
	if err != nil {
		t.Fatal(err)
	}
	points := loaded.Config.Southbound.Modbus.Devices["device"].Points
	if len(points) != 7 || points["reset"].Access != "write" || points["supply_temperature"].Ref != "40001" ||
		points["setpoint_a"].Writable == nil ||
		points["model"].Length != 16 || points["energy"].Order != "CDAB" {
		t.Errorf("%d points: %+v", len(points), points)
	}
}

// FuzzImport makes sure that no list makes a file that is not YAML, or whose points
// are not named as points are.
func FuzzImport(f *testing.F) {
	f.Add("address,name,type,scale,unit,function,writable,min,max,values\n1,a,int16,0.1,V,3,rw,0,5,0=a;1=b\n", "", "auto")
	f.Add("reg;tag;len\n0x10h;\"x\ny\";2\n40001;}: {;1\n", "input", "one")
	f.Add("Address\tDescription\n4x0001\tNaN\n", "coil", "ref")
	f.Fuzz(func(t *testing.T, list, table, addresses string) {
		l, err := registers.Read(strings.NewReader(list), registers.Options{Table: table, Addresses: addresses})
		if err != nil || strings.Contains(table, "\n") {
			return
		}
		if table != "" && table != "coil" && table != "discrete" && table != "input" && table != "holding" {
			return // the command refuses it
		}
		file := withProfile(l)
		if _, err := Parse("fuzz.yaml", file); err != nil {
			for _, syntax := range []string{"not YAML", "unknown key", "is not known", "not [a-z]", "twice"} {
				if strings.Contains(err.Error(), syntax) {
					t.Errorf("%v\n%s", err, file)
				}
			}
		}
	})
}
