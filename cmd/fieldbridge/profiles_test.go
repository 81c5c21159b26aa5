package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/configs/profiles"
)

// profilesOut runs a command that must succeed and returns its data.
func profilesOut(t *testing.T, args ...string) string {
	t.Helper()
	var out, err bytes.Buffer
	if code := dispatch(t.Context(), append([]string{"profiles"}, args...), nil, &out, &err); code != exitDone {
		t.Fatalf("%q: exit %d: %s", args, code, err.String())
	}
	return out.String()
}

func TestProfilesLists(t *testing.T) {
	text := profilesOut(t)
	for _, name := range profiles.Names() {
		if !strings.Contains(text, "\n"+name+" ") && !strings.HasPrefix(text, name+" ") {
			t.Errorf("the list lacks %s", name)
		}
	}
	var all []struct {
		Name, About, Maker, Verified string
		Models, Source               []string
		Points, Writable             int
	}
	if err := json.Unmarshal([]byte(profilesOut(t, "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(profiles.Names()) {
		t.Errorf("%d profiles, want %d", len(all), len(profiles.Names()))
	}
	for _, p := range all {
		if p.Name == "" || p.About == "" || p.Maker == "" || p.Verified == "" || len(p.Models) == 0 ||
			len(p.Source) == 0 || p.Points == 0 {
			t.Errorf("something is missing: %+v", p)
		}
		if p.Name == "keba-p30" && p.Writable != 2 {
			t.Errorf("%s has %d writable points", p.Name, p.Writable)
		}
	}
}

func TestProfilesShowsOne(t *testing.T) {
	text := profilesOut(t, "schneider-iem3155")
	for _, want := range []string{"maker     Schneider Electric\n", "models    iEM3155, iEM3255, iEM3355\n",
		"verified  source: read in public sources\n", "github.com/volkszaehler/mbmd meters/rs485/iem3000.go at fb8f9c22f121",
		"matches   schneider, iem3\n", "order     ABCD\n", "max_gap   2\n", "\nfrequency "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	var one struct {
		Points int
		Device struct {
			MaxGap int `json:"max_gap"`
			Points map[string]struct {
				Type, Unit string
				Holding    int
			}
		}
	}
	if err := json.Unmarshal([]byte(profilesOut(t, "schneider-iem3155", "--json")), &one); err != nil {
		t.Fatal(err)
	}
	p := one.Device.Points["frequency"]
	if one.Device.MaxGap != 2 || len(one.Device.Points) != one.Points ||
		p.Holding != 3109 || p.Type != "float32" || p.Unit != "Hz" {
		t.Errorf("%d points, %+v", one.Points, one.Device)
	}
	var out, err bytes.Buffer
	if code := dispatch(t.Context(), []string{"profiles", "eastron-sdm60"}, nil, &out, &err); code != exitUsage ||
		!strings.Contains(err.String(), "eastron-sdm630") {
		t.Errorf("exit %d: %s", code, err.String())
	}
}

// A list that is imported is a file that check takes.
func TestProfilesImport(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "Acme Valve.csv")
	if err := os.WriteFile(list, []byte(
		"register,name,type,scale,unit,rw\n40001,Flow,float,,m3/h,r\n40003,Opening,u16,0.1,%,rw\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"profiles", "profile"} {
		var out, told bytes.Buffer
		if code := dispatch(t.Context(), []string{command, "import", list, "-name=acme"}, nil, &out,
			&told); code != exitDone {
			t.Fatalf("exit %d: %s", code, told.String())
		}
		for _, want := range []string{"as manuals print them", "opening is writable without limits", "2 points"} {
			if !strings.Contains(told.String(), want) {
				t.Errorf("%q is not told: %s", want, told.String())
			}
		}
		file := filepath.Join(dir, "acme.yaml")
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	main := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(main, []byte(`include: [acme.yaml]
gateway: g-1
northbound:
  awsiot:
    endpoint: a1-ats.iot.eu-central-1.amazonaws.com
    certificate: c.pem
    private_key: c.key
    topic: "x/{gateway}"
southbound:
  modbus:
    devices:
      valve: {url: "tcp://127.0.0.1", profile: acme}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, told bytes.Buffer
	if code := dispatch(t.Context(), []string{"check", main}, nil, &out, &told); code != exitDone {
		t.Errorf("check: exit %d: %s%s", code, out.String(), told.String())
	}
	for _, args := range [][]string{{}, {"nothing.csv"}, {list, "--table", "register"}, {list, "--addresses", "two"},
		{list, "--order", "AB"}, {list, "--name", "Acme Valve"}} {
		var out, told bytes.Buffer
		if code := dispatch(t.Context(), append([]string{"profiles", "import"}, args...), nil, &out,
			&told); code != exitUsage {
			t.Errorf("%q: exit %d: %s", args, code, told.String())
		}
	}
	if got := profileName("", "/a/Acme Valve (2).csv"); got != "acme-valve-2" {
		t.Errorf("the profile is called %q", got)
	}
}
