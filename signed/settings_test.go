package signed

import (
	"strings"
	"testing"

	"fieldbridge/minisign"
)

// TestSettings: what can never be meant is found, with where it stands.
func TestSettings(t *testing.T) {
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(s *Settings){
		"":                        func(s *Settings) { s.Groups = []string{"canary", strings.Repeat("n", maxName)} },
		"keys: key 1":             func(s *Settings) { s.Keys = []string{"x"} },
		"roots: key 2":            func(s *Settings) { s.Roots = []string{key.Public().String(), ""} },
		"threshold: threshold":    func(s *Settings) { s.Threshold = 3 },
		"threshold: 1 keys":       func(s *Settings) { s.Keys, s.Threshold = []string{key.Public().String()}, 2 },
		"config: config is":       func(s *Settings) { s.Config = "always" },
		"groups.1: a group's":     func(s *Settings) { s.Groups = []string{"a", ""} },
		"groups.0: a group's":     func(s *Settings) { s.Groups = []string{strings.Repeat("n", maxName+1)} },
		"groups: 1001 groups are": func(s *Settings) { s.Groups = strings.Split(strings.Repeat("n", 1001), "") },
	} {
		var s Settings
		s.SetDefaults()
		change(&s)
		var got []string
		for _, p := range s.Validate() {
			got = append(got, strings.Join(p.Path, ".")+": "+p.Text)
		}
		if want == "" && got != nil || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}
