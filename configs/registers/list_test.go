package registers

import (
	"strings"
	"testing"
)

// What lists look like: of makers, of Home Assistant, of logging programs.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, list string
		o          Options
		want       string // points as in the file
		notes      []string
	}{
		{"plain", `address,name,type,scale,unit,function,writable
0,Supply temperature,int16,0.1,°C,4,ro
100,Setpoint,int16,0.1,°C,3,rw
7,Pump on,bool,,,1,rw
8,Door,,,,2,
`, Options{}, `supply_temperature: {input: 0, type: int16, scale: 0.1, unit: "°C"}
setpoint: {holding: 100, type: int16, scale: 0.1, unit: "°C", writable: true}
pump_on: {coil: 7, writable: true}
door: {discrete: 8}
`, []string{`address from "address"`, "addresses: from 0", "setpoint is writable without limits"}},
		{"as manuals print, semicolons, a title, comma decimals, German", "Registerliste 3.2;;;\n\nRegister;Bezeichnung;" +
			"Datentyp;Faktor;Einheit;Zugriff\n40001;Spannung L1;UINT16;0,1;V;R\n40003;Wirkleistung;INT32;1;W;R\n" +
			"30010;Größe;FLOAT32;;m;R\n", Options{}, `spannung_l1: {ref: 40001, scale: 0.1, unit: "V"}
wirkleistung: {ref: 40003, type: int32, unit: "W"}
groesse: {ref: 30010, type: float32, unit: "m"}
`, []string{"as manuals print them"}},
		{"gain, quantity, words for functions", `No.,Signal Name,R/W,Type,Unit,Gain,Address,Quantity
1,Model,RO,STR,N/A,1,30000,15
2,PV1 voltage,RO,I16,V,10,32016,1
3,Active power,RO,I32,kW,1000,32080,2
4,Accumulated yield,RO,U32,kWh,100,32106,2
5,Set power,WO,U32,kW,1000,47075,2
`, Options{}, `model: {holding: 30000, type: string, length: 30}
pv1_voltage: {holding: 32016, type: int16, scale: 0.1, unit: "V"}
active_power: {holding: 32080, type: int32, scale: 0.001, unit: "kW"}
accumulated_yield: {holding: 32106, type: uint32, scale: 0.01, unit: "kWh"}
set_power: {holding: 47075, type: uint32, scale: 0.001, unit: "kW", writable: true, access: write}
`, []string{`"Gain" divides`, "set_power is writable without limits"}},
		{"an input that can be written", "address,name,fc,access\n1,A,4,WO\n2,B,4,R\n", Options{}, "b: {input: 2}\n",
			[]string{"(a) is left out: it can only be written"}},
		{"hexadecimal, tabs, limits, states", "Addr\tParameter\tFC\tFormat\tMin\tMax\tValues\n" +
			"0x1000\tMode\t03/06\tu16\t0\t3\t0=off; 1=heat; 2=cool\n1Ah\tFlow\t0x04\tf32 CDAB\t\t\t\n", Options{},
			`mode: {holding: 4096, enum: {0: "off", 1: "heat", 2: "cool"}, writable: {min: 0, max: 3}}
flow: {input: 26, type: float32, order: CDAB}
`, nil},
		{"names twice, what is no register, no type",
			"name,address,words\nA,1,1\nA,2,2\n,3,1\nnote,see manual,\n3 phase,70000,1\n",
			Options{Table: "input"}, "a: {input: 1}\na_2: {input: 2, type: uint32}\n",
			[]string{`"see manual" is no address`, "(p_3_phase) is left out: address 70000"}},
		{"counted from 1, order of the device", "register,name,type\n1,A,float\n3,B,float\n",
			Options{Addresses: One, Order: "CDAB"}, "a: {holding: 1, type: float32}\nb: {holding: 3, type: float32}\n", nil},
		{"factors before units, spans of addresses", "Reg No.,Variable Name,Unit\n3,Vpv1,0.1V\n\"53,54\",Energy,0.1 kWh\n" +
			"30001-30004,Total,Wh\n9,n,1\n", Options{}, `vpv1: {holding: 3, scale: 0.1, unit: "V"}
energy: {holding: 53, type: uint32, scale: 0.1, unit: "kWh"}
total: {holding: 30001, type: uint64, unit: "Wh"}
n: {holding: 9}
`, []string{"no column tells the type"}},
		{"five digits that are no manual's, as the function says", "address,name,fc\n32016,A,3\n32017,B,3\n", Options{},
			"a: {holding: 32016}\nb: {holding: 32017}\n", []string{"from 0, as they are sent"}},
		{"Latin-1", "address,name,unit\n1,K\xfchlung,\xb0C\n", Options{}, "kuehlung: {holding: 1, unit: \"°C\"}\n", nil},
		{"an address with its function, a bit", "Modbus address,Description,Bit,Register type\n5,Alarm,3,Input register\n" +
			"6,Run,,Coil\n", Options{}, "alarm: {input: 5, bit: 3}\nrun: {coil: 6}\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Read(strings.NewReader(c.list), c.o)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, p := range l.Points {
				got.WriteString(p.Name + ": {" + strings.Join(p.keys, ", ") + "}\n")
			}
			if got.String() != c.want {
				t.Errorf("points:\n%swant:\n%s", got.String(), c.want)
			}
			told := strings.Join(l.Notes, "\n")
			for _, note := range c.notes {
				if !strings.Contains(told, note) {
					t.Errorf("%q is not told:\n%s", note, told)
				}
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for list, want := range map[string]string{
		"":                                "no line names the columns",
		"a,b\n1,2\n":                      "no line names the columns",
		"address,name\n":                  "no line has a register",
		"address,name,type\n1,A,blob99\n": `type "blob99" is not known`,
		"address,name,fc\n1,A,99\n":       `"99" is no function`,
		"address,name,scale\n1,A,much\n":  `scale "much" is no number`,
		"address,name,type\n1,A,string\n": "a text needs its length",
	} {
		if _, err := Read(strings.NewReader(list), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", list, err, want)
		}
	}
}

func TestReadType(t *testing.T) {
	for text, want := range map[string]string{
		"U16": "uint16", "uint16_t": "uint16", "S16": "int16", "INT": "int16", "word": "uint16", "short": "int16",
		"U_DWORD": "uint32", "S_DWORD": "int32", "DINT": "int32", "UDINT": "uint32", "unsigned 32 bit": "uint32",
		"signed int32": "int32", "real": "float32", "IEEE754": "float32", "double": "float64", "float64": "float64",
		"BCD16": "bcd16", "Boolean": "bool", "uint64": "uint64", "int48": "int48", "bitfield32": "uint32", "enum16": "uint16",
		"16": "uint16", "unsigned": "uint16", "signed": "int16", "Signed Word": "int16", "u8": "uint8", "float": "float32",
	} {
		if got, _, err := readType(text, 0); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]bool{"uint32 swapped": true, "U32LE": true, "float32_sw": true, "uint32": false,
		"U_DWORD (LW,HW)": true, "float32 CDAB": true, "uint16 swapped": false} {
		if _, got, err := readType(text, 0); got != want || err != nil {
			t.Errorf("%q: swapped %t, %v", text, got, err)
		}
	}
}

func TestReadNumber(t *testing.T) {
	for text, want := range map[string]string{"0.1": "0.1", "0,01": "0.01", "1/10": "0.1", "/100": "0.01", "x0.1": "0.1",
		"10^-1": "0.1", "10^2": "100", "1E-3": "0.001", "10": "10", "0.1 V": "0.1", "-1": "-1", "*0.5": "0.5"} {
		if got, ok := readNumber(text); got != want || !ok {
			t.Errorf("%q: %q, %t, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", "V", "1/0", "1.2.3", "10^99", "1e999"} {
		if got, ok := readNumber(text); ok {
			t.Errorf("%q: %q", text, got)
		}
	}
}
