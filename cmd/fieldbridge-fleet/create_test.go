package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fieldbridge/northbound/awsiot/awsiottest/control"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// TestCreate makes what an empty account lacks after a plan that changes nothing, then
// nothing, then what was changed behind its back and what the file has more.
func TestCreate(t *testing.T) {
	a := newAccount(t)
	file := a.write("templated.yaml", strings.Replace(fleetText, "      certificate: c.pem\n      private_key: k.pem\n",
		"      identity: {provision: {template: gateways, claim: claim}}\n", 1)+
		"  g4: {groups: [others]}\n")
	create := func(more ...string) (changed []string, told string) {
		t.Helper()
		before := changes(a.Actions(""))
		code, out, told := a.run(append([]string{"create", file, "--bucket", "files"}, more...)...)
		if code != exitDone {
			t.Fatal("it failed")
		}
		if n := changes(a.Actions("")) - before; slices.Contains(more, "--plan") && n != 0 {
			t.Errorf("a plan changed %d things", n)
		}
		for line := range strings.Lines(out) {
			if line[0] == '+' || line[0] == '~' {
				changed = append(changed, strings.TrimSpace(line))
			}
		}
		return changed, told
	}
	all := []string{"+ search of things and shadow gateway", "+ thing type fieldbridge", "+ policy fieldbridge",
		"+ thing group canary with 1 things", "+ thing group others with 2 things", "+ bucket files",
		"+ role fieldbridge-files", "+ role fieldbridge-provisioning", "+ provisioning template gateways"}
	for range 2 {
		if got, told := create("--plan"); !slices.Equal(got, all) ||
			!strings.Contains(told, "1 of 4 gateways are no things") {
			t.Errorf("the plan is %q, %s", got, told)
		}
	}
	if got, _ := create(); !slices.Equal(got, all) {
		t.Errorf("made: %q", got)
	}
	if got, _ := create(); len(got) > 0 {
		t.Errorf("the second run made %q", got)
	}
	if g, _ := a.Registry.Group("others"); !slices.Equal(g.Things, []string{"g2", "g3"}) {
		t.Errorf("in the group are %q", g.Things)
	}
	files, _ := a.Role("fieldbridge-files")
	registers, _ := a.Role("fieldbridge-provisioning")
	if !strings.Contains(files.Trust, "iot.amazonaws.com") || !strings.Contains(files.Policies["fieldbridge"],
		"arn:aws:s3:::files/fieldbridge/*") || len(files.Attached) > 0 || len(registers.Policies) > 0 ||
		!slices.Equal(registers.Attached, []string{"arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"}) {
		t.Errorf("roles %+v, %+v", files, registers)
	}
	// What changes behind its back, and a gateway that comes later.
	files.Trust = `{"Version":"2012-10-17","Statement":[]}`
	files.Policies = map[string]string{"fieldbridge": "{}", "other": "{}"}
	a.AddRole(files)
	a.AddRole(control.Role{Name: "fieldbridge-provisioning", Trust: registers.Trust})
	if err := a.Registry.AddThing(registry.Thing{Name: "g4"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"~ thing group others with 3 things", "~ role fieldbridge-files", "~ role fieldbridge-provisioning"}
	for _, more := range [][]string{{"--plan"}, nil} {
		if got, told := create(more...); !slices.Equal(got, want) || strings.Contains(told, "no things") {
			t.Errorf("changed: %q, %s", got, told)
		}
	}
	if got, _ := create(); len(got) > 0 {
		t.Errorf("the last run made %q", got)
	}
	if files, _ = a.Role("fieldbridge-files"); files.Policies["other"] != "{}" {
		t.Error("another policy of the role is gone")
	}
}

// TestGroupNames: groups that AWS does not take are told before anything is made.
func TestGroupNames(t *testing.T) {
	a := newAccount(t)
	groups, of := "groups:\n", []string{}
	for i := range 11 {
		groups += fmt.Sprintf("  n%d: {}\n", i)
		of = append(of, fmt.Sprintf("n%d", i))
	}
	many := strings.Replace(strings.Replace(fleetText, "groups:\n", groups, 1), "[canary]",
		"["+strings.Join(of, ", ")+"]", 1)
	for says, text := range map[string]string{"g1 is in 11 groups: AWS takes a thing into 10": many,
		`group "press hall" of g1 cannot be a thing group`: strings.ReplaceAll(fleetText, "canary", "press hall")} {
		a.write("fleet.yaml", text)
		if code, _, told := a.run("create", a.file, "--plan"); code != exitUsage || !strings.Contains(told, says) {
			t.Errorf("exit %d: %s", code, told)
		}
	}
	if n := changes(a.Actions("")); n != 0 {
		t.Errorf("%d things were changed", n)
	}
}

// TestPolicyVersions: AWS keeps five versions of a policy; the oldest goes, and that in
// force never.
func TestPolicyVersions(t *testing.T) {
	a := newAccount(t)
	for i := range 8 {
		a.write("fleet.yaml", strings.Replace(fleetText, "plant/", fmt.Sprintf("plant%d/", i), 1))
		if code, out, _ := a.run("create", a.file); code != exitDone || strings.Contains(out, "= policy") {
			t.Fatalf("change %d: exit %d", i, code)
		}
	}
	if text, _, _ := a.Registry.Policy("fieldbridge"); !strings.Contains(text, "plant7/") {
		t.Errorf("in force is %s", text)
	}
}

// changes is how many calls were made that change something.
func changes(actions map[string]int) (n int) {
	for name, times := range actions {
		_, verb, _ := strings.Cut(name, ":")
		if !slices.ContainsFunc([]string{"Get", "List", "Describe", "Search"}, func(v string) bool {
			return strings.HasPrefix(verb, v)
		}) {
			n += times
		}
	}
	return n
}
