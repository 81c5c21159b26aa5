package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/configs/tree"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// sunSpecTable is a file of profiles/sunspec: the points of some models, at
// addresses that count from the register of the model's id.
type sunSpecTable struct {
	models []int
	length int
	points string // as YAML, a point a line
	// What follows once for each of so many blocks.
	each                 string // {n} is the number of the block
	count, first, stride int    // where their number is, where they begin, how long one is
}

// readSunSpec reads a table.
func readSunSpec(t *testing.T, file string) sunSpecTable {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, problems := tree.Parse(file, content)
	for _, p := range problems {
		t.Error(p)
	}
	number := func(path ...string) int {
		n, err := strconv.Atoi(root.At(path...).Text)
		if err != nil {
			t.Fatalf("%s: %v: %v", file, path, err)
		}
		return n
	}
	head, points, _ := strings.Cut(string(content), "\npoints:\n")
	table := sunSpecTable{length: number("length"), points: points}
	for _, m := range root.At("models").Items {
		id, err := strconv.Atoi(m.Text)
		if err != nil {
			t.Fatalf("%s: %v", m.Pos, err)
		}
		table.models = append(table.models, id)
	}
	if _, each, ok := strings.Cut(head, "\neach:\n"); ok {
		table.each = each + "\n"
		table.count, table.first, table.stride = number("repeat", "count"), number("repeat", "first"),
			number("repeat", "length")
	}
	return table
}

var holding = regexp.MustCompile(`holding: (\d+)`)

// at returns the points of a model whose id is at address, with so many blocks.
func (s sunSpecTable) at(address, blocks int) string {
	shift := func(points string, by int) string {
		return holding.ReplaceAllStringFunc(points, func(key string) string {
			n, _ := strconv.Atoi(key[len("holding: "):])
			return fmt.Sprint("holding: ", n+by)
		})
	}
	points := shift(s.points, address)
	for n := range blocks {
		block := strings.ReplaceAll(s.each, "{n}", strconv.Itoa(n+1))
		points += shift(block, address+s.first+n*s.stride)
	}
	return points
}

// sunSpecModels walks the model list as the specification has it: the marker at
// one of three addresses, then id and length of each model up to the end model.
func sunSpecModels(u *modbustest.Unit) map[int]int {
	models := make(map[int]int)
	for _, base := range []int{40000, 50000, 0} {
		if !slices.Equal(u.Get(modbustest.Holding, base, 2), []uint16{0x5375, 0x6e53}) {
			continue
		}
		for at := base + 2; ; {
			head := u.Get(modbustest.Holding, at, 2)
			if head[0] == 0xffff {
				return models
			}
			models[int(head[0])] = at
			at += 2 + int(head[1])
		}
	}
	return models
}

// sunSpecDevice returns a configuration with a device for each model found.
func sunSpecDevice(t *testing.T, address string, u *modbustest.Unit) setup.Config {
	t.Helper()
	files, err := filepath.Glob("profiles/sunspec/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d tables, %v", len(files), err)
	}
	models := sunSpecModels(u)
	var profiles, devices strings.Builder
	for _, file := range files {
		table := readSunSpec(t, file)
		for _, id := range table.models {
			at, ok := models[id]
			if !ok {
				continue
			}
			blocks := 0
			if table.each != "" {
				blocks = int(u.Get(modbustest.Holding, at+table.count, 1)[0])
			}
			if n := int(u.Get(modbustest.Holding, at+1, 1)[0]); n < table.length {
				t.Errorf("model %d is %d registers long, the table says %d", id, n, table.length)
			}
			points := strings.ReplaceAll(table.at(at, blocks), "\n  ", "\n      ")
			fmt.Fprintf(&profiles, "  model_%d:\n    points:\n    %s\n", id, points)
			fmt.Fprintf(&devices, "      m%d: {url: \"tcp://%s\", every: 100ms, profile: model_%d}\n", id, address, id)
		}
	}
	l, err := Parse("sunspec.yaml", fmt.Appendf(nil, `
gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: certs/device.pem
    private_key: certs/device.key
    topic: "plant/{gateway}"
profiles:
%ssouthbound:
  modbus:
    devices:
%s`, profiles.String(), devices.String()))
	if err != nil {
		t.Fatal(err)
	}
	return l.Config.Southbound.Modbus
}

// The profiles with fixed addresses are the tables, moved; the others have the
// tables, and of the common model what does not change.
func TestSunSpecProfilesAreTheTables(t *testing.T) {
	for _, p := range []struct {
		table, profile string
		model, at      int
	}{
		{"inverter-101", "sunspec-inverter-103", 103, 40069},
		{"inverter-111", "sunspec-inverter-113", 113, 40069},
		{"meter-201", "solaredge-meter", 203, 40188},
		{"inverter-101", "sunspec-inverter", 103, 0},
		{"inverter-111", "sunspec-inverter-float", 113, 0},
		{"meter-201", "sunspec-meter", 203, 0},
	} {
		table := readSunSpec(t, "profiles/sunspec/"+p.table+".yaml")
		if !slices.Contains(table.models, p.model) {
			t.Errorf("%s has the models %v", p.table, table.models)
		}
		content, err := os.ReadFile("profiles/" + p.profile + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		_, points, _ := strings.Cut(string(content), "\npoints:\n")
		moved := strings.Split(table.at(p.at, 0)+readSunSpec(t, "profiles/sunspec/common-1.yaml").points, "\n")
		points = strings.NewReplacer("sunspec: [1], ", "", ", every: 1h", "").Replace(points)
		for line := range strings.Lines(strings.ReplaceAll(points, "power_export_", "power_")) {
			if !slices.Contains(moved, strings.TrimSuffix(line, "\n")) {
				t.Errorf("%s has not, moved to %d, what %s has: %s", p.table, p.at, p.profile, line)
			}
		}
	}
}

// The tables read a device wherever its list begins and whatever stands before
// a model.
func TestSunSpecTables(t *testing.T) {
	for _, tt := range []struct {
		name         string
		base, common int
		vendor       bool // a model of the vendor's own comes before the others
	}{
		{"at 40000", 40000, 65, false},
		{"at 50000, padded", 50000, 66, false},
		{"at 0, with a vendor's model", 0, 66, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := modbustest.New()
			unit := sim.Unit(1)
			i := image{unit: unit, table: modbustest.Holding}
			end := sunSpecImage(i, tt.base, tt.common, tt.vendor)
			unit.Only(modbustest.Holding, tt.base, end-tt.base)
			got := readAll(t, sunSpecDevice(t, sim.Start(t), unit))
			want := make(map[string][]string)
			for device, lines := range sunSpecReadings {
				want[device] = sortedLines(lines)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
		})
	}
}

// sunSpecImage writes a device's models and returns where they end.
func sunSpecImage(i image, base, common int, vendor bool) int {
	at := base
	put := func(words ...int) {
		i.int16(at, words...)
		at += len(words)
	}
	text := func(s string, registers int) {
		i.words(at, modbustest.Text(s)...)
		at += registers
	}
	put(0x5375, 0x6e53, 1, common)
	text("Fronius", 16)
	text("Symo 8.2-3-M", 16)
	text("3.14.1-10", 8)
	text("1.2", 8)
	text("12345678", 16)
	put(make([]int, common-64)...)
	if vendor {
		put(64900, 7)
		put(make([]int, 7)...)
	}
	const none = -0x8000
	put(111, 60)
	i.float32(at, 34.5)
	i.float32(at+20, 7998.5, 50, 8012.5, -456.5, 99.5, 12345500)
	i.int16(at+46, 4, 3)
	at += 60
	put(120, 26, 4, 82, 2, 83, 2, 1, 2, 3, 4, 0, 118, -1)
	put(make([]int, 14)...)
	put(160, 48, -2, -1, 0, 1, 0, 0, 2, 0)
	put(1)
	text("String 1", 8)
	put(812, 6543, 5313, 1, 0x5678, 0, 0, 41, 4, 0, 0)
	put(2)
	text("String 2", 8)
	put(0xffff, 6012, 0xffff, 0, 0x1234, 0, 0, none, 2, 0, 0)
	put(203, 105)
	put(1234, 411, 412, none, -2)
	put(2312, 2301, 2312, 2323, 3995, 3984, 3995, 4006, -1, 4999, -2)
	put(-1234, 400, -1234, -400, 0, 1300, 410, 1250, 420, 0, 56, 10, 20, 26, 0, -981, 1, 2, 3, -1)
	put(0x0074, 0xcbb1, 0, 0, 0, 0, 0, 0, 0x00bc, 0x614e, 0, 0, 0, 0, 0, 0, 0)
	put(make([]int, 52)...)
	put(0xffff, 0)
	return at
}

// sunSpecNameplate is what the profiles read of the common model.
const sunSpecNameplate = "manufacturer Fronius; model Symo 8.2-3-M; firmware 1.2; serial 12345678"

var sunSpecReadings = map[string]string{
	"m1": sunSpecNameplate + "; options 3.14.1-10",
	"m111": `current_total 34.5; current_l1 0; current_l2 0; current_l3 0
		voltage_l1_l2 0; voltage_l2_l3 0; voltage_l3_l1 0; voltage_l1 0; voltage_l2 0; voltage_l3 0
		power_total 7998.5; frequency 50; apparent_power_total 8012.5; reactive_power_total -456.5
		power_factor_percent 99.5; energy_yield 12345.5; dc_current 0; dc_voltage 0; dc_power 0
		temperature_cabinet 0; temperature_heat_sink 0; state 4; state_vendor 3`,
	"m120": `der_type 4; rated_power 8200; rated_power_sf 2; rated_apparent_power 8300; rated_apparent_power_sf 2
		rated_current 11.8; rated_current_sf -1`,
	"m160": `dc_current_sf -2; dc_voltage_sf -1; dc_power_sf 0; dc_energy_sf 1
		pv1_current 8.12; pv1_voltage 654.3; pv1_power 5313; pv1_energy_wh 876720; pv1_temperature 41; pv1_state 4
		pv2_current bad: sentinel; pv2_voltage 601.2; pv2_power bad: sentinel; pv2_energy_wh 46600
		pv2_temperature bad: sentinel; pv2_state 2`,
	"m203": `current_total 12.34; current_l1 4.11; current_l2 4.12; current_l3 bad: sentinel; current_sf -2
		voltage_l1 230.1; voltage_l2 231.2; voltage_l3 232.3
		voltage_l1_l2 398.4; voltage_l2_l3 399.5; voltage_l3_l1 400.6; voltage_sf -1
		frequency 49.99; frequency_sf -2; power_total -1234; power_l1 400; power_l2 -1234; power_l3 -400; power_sf 0
		apparent_power_total 1300; apparent_power_l1 410; apparent_power_l2 1250; apparent_power_l3 420; apparent_power_sf 0
		reactive_power_total 56; reactive_power_l1 10; reactive_power_l2 20; reactive_power_l3 26; reactive_power_sf 0
		power_factor_percent -98.1; power_factor_sf -1
		energy_export_wh 7654321; energy_import_wh 12345678; energy_sf 0`,
}
