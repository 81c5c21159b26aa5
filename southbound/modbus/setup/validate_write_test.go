package setup

import (
	"fieldbridge/southbound/modbus/permit"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// TestValidateWrites: what cannot be meant by the keys of writing is told.
func TestValidateWrites(t *testing.T) {
	function := func(n int) *int { return &n }
	length := func(d time.Duration) *setting.Duration { s := setting.Duration(d); return &s }
	no := false
	var never permit.Writable
	if err := never.UnmarshalText([]byte("false")); err != nil {
		t.Fatal(err)
	}
	back := &permit.Writable{ReadModifyWrite: true}
	for _, test := range []struct {
		name string
		x    Point // beside y, holding 5
		want string
	}{
		{"write-only", Point{Holding: at(1), Access: "write"}, ""},
		{"both", Point{Holding: at(1), Access: "read_write"}, ""},
		{"with limits", Point{Holding: at(1), Access: "write", Writable: &permit.Writable{Max: &bridge.Decimal{Coef: 3}}},
			""},
		{"read", Point{Input: at(1), Access: "read"}, ""},
		{"misspelt", Point{Holding: at(1), Access: "wirte"}, `x.access: "wirte" is not an access: did you mean "write"?`},
		{"read and writable", Point{Holding: at(1), Access: "read", Writable: &permit.Writable{}},
			"x.access: access: read of a point that is writable"},
		{"not writable", Point{Holding: at(1), Access: "write", Writable: &never},
			"x.access: access: write of a point that is not writable"},
		{"an input", Point{Input: at(1), Access: "write"}, "x.access: the table input cannot be written"},
		{"a step of what is never read", Point{Holding: at(1), Access: "write",
			Writable: &permit.Writable{MaxStep: &bridge.Decimal{Coef: 3}}},
			"x.writable.max_step: max_step of a point that is never read"},
		{"polled though never read", Point{Holding: at(1), Access: "write", Every: length(time.Minute)},
			"x.every: every of a point that is never read"},
		{"read back though never read", Point{Holding: at(1), Access: "write", Confirm: &permit.Confirm{By: "read_back"}},
			"x.confirm.by: a point that is never read cannot be read back"},
		{"shown by another", Point{Holding: at(1), Access: "write", Confirm: &permit.Confirm{Point: "y"}}, ""},
		{"shown by none", Point{Holding: at(1), Access: "write", Confirm: &permit.Confirm{Point: "z"}},
			`x.confirm.point: "z" is not a point of this device`},
		{"shown by itself", Point{Holding: at(1), Writable: &permit.Writable{}, Confirm: &permit.Confirm{Point: "x"}},
			"x.confirm.point: the point itself"},
		{"a text shown by a number", Point{Holding: at(1), Type: "string", Length: 4, Writable: &permit.Writable{},
			Confirm: &permit.Confirm{Point: "y"}}, "x.confirm.point: y is a uint16, which shows no string"},
		{"confirmed by nothing", Point{Holding: at(1), Writable: &permit.Writable{}, Confirm: &permit.Confirm{By: "ehco"}},
			`x.confirm.by: "ehco" confirms nothing: did you mean "echo"?`},
		{"within of an echo", Point{Holding: at(1), Writable: &permit.Writable{}, Confirm: &permit.Confirm{By: "echo",
			Within: length(time.Second)}}, "x.confirm.within: within of a point that is not read back"},
		{"too long", Point{Holding: at(1), Writable: &permit.Writable{},
			Confirm: &permit.Confirm{Within: length(time.Minute)}},
			"x.confirm.within: a value that is to show within 1m: use 100ms to 20s"},
		{"confirm of a reading", Point{Input: at(1), Confirm: &permit.Confirm{}},
			"x.confirm: confirm of a point that is not writable"},
		{"unpolled reading", Point{Input: at(1), Poll: &no}, "x.poll: poll of a point that is not writable"},
		{"a function for coils", Point{Holding: at(1), Writable: &permit.Writable{}, WriteFunction: function(5)},
			"x.write_function: function 5 cannot set this point: use one of 6, 16, 22"},
		{"a mask of two registers", Point{Holding: at(1), Type: "uint32", Writable: &permit.Writable{},
			WriteFunction: function(22)},
			"x.write_function: function 22 cannot set this point: use one of 6, 16"},
		{"part by function 6", Point{Holding: at(1), Bit: at(2), Writable: &permit.Writable{}, WriteFunction: function(6)},
			"x.write_function: function 6 sets no part of a register"},
		{"whole by function 5", Point{Coil: at(1), Together: "0-7", Writable: back, WriteFunction: function(5)},
			"x.write_function: function 5 sets one address"},
		{"a number inverted", Point{Holding: at(1), Invert: true}, "x.invert: invert of a uint16"},
		{"whole without the point", Point{Coil: at(9), Together: "0-7"}, `x.together: "0-7" does not contain the point`},
		{"whole of nothing", Point{Coil: at(9), Together: "7-0"}, `x.together: "7-0" is not a run of addresses`},
		{"whole of too many", Point{Holding: at(9), Together: "0-125"}, "x.together: 126 addresses in one request"},
		{"whole, written, of too many", Point{Holding: at(9), Together: "0-124", Writable: back},
			"x: 125 addresses cannot be written by one request: at most 123 can"},
		{"over what is never read", Point{Holding: at(5), Access: "write"},
			"devices.d.points.y: it cannot be read without x, which is never read"},
	} {
		c := withPoint(test.x)
		c.Devices["d"].Points["y"] = Point{Holding: at(5)}
		var got []string
		for _, p := range c.Validate() {
			got = append(got, strings.Join(p.Path, ".")+": "+p.Text+": "+p.Fix)
		}
		if all := strings.Join(got, "; "); (all == "") != (test.want == "") || !strings.Contains(all, test.want) ||
			len(got) > 1 {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
