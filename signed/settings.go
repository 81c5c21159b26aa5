package signed

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"fieldbridge/setting"
)

// Settings is the section updates: whose signed orders the gateway takes. No order can
// change it, but for the groups.
type Settings struct {
	// Keys are public keys of minisign that sign orders: the second line of a .pub file.
	Keys []string `yaml:"keys"`
	// Roots are public keys that sign lists of such keys, which travel with the orders.
	Roots []string `yaml:"roots"`
	// Threshold is how many different keys must have signed an order, 1 or 2. Default 1.
	Threshold int `yaml:"threshold"`
	// Groups are those that the gateway belongs to: what is signed for one is for this
	// gateway, too. In a fleet file they are the gateway's groups, unless this names others.
	Groups []string `yaml:"groups"`
	// Config says what becomes of a configuration that comes by a job when the file on
	// the machine was edited since the one before: refuse-if-edited or overwrite.
	Config string `yaml:"config"`
	// Trial is how long another release of the program has to prove itself, from when the
	// gateway is ready, 5m to 1h, unless the order says. Default 15m.
	Trial setting.Duration `yaml:"trial"`
}

// What Settings.Config may be.
const (
	RefuseIfEdited = "refuse-if-edited"
	Overwrite      = "overwrite"
)

// SetDefaults sets what is used where the file says nothing.
func (s *Settings) SetDefaults() {
	*s = Settings{Threshold: 1, Config: RefuseIfEdited, Trial: setting.Duration(15 * time.Minute)}
}

// Validate returns what is wrong with s.
func (s Settings) Validate() []setting.Problem {
	var found setting.Found
	check := func(name string, keys []string) {
		if _, err := ParseKeys(keys); err != nil {
			found.Add(err.Error(), "give the second line of the .pub file that minisign -G makes", name)
		}
	}
	check("keys", s.Keys)
	check("roots", s.Roots)
	if s.Threshold != 1 && s.Threshold != 2 {
		found.Add(fmt.Sprintf("threshold is %d", s.Threshold), "use 1 or 2", "threshold")
	}
	if n := len(s.Keys); s.Threshold > n && n > 0 && len(s.Roots) == 0 {
		found.Add(fmt.Sprintf("%d keys cannot sign twice", n), "name two keys, or threshold: 1", "threshold")
	}
	for i, name := range s.Groups {
		if name == "" || len(name) > maxName {
			found.Add(fmt.Sprintf("a group's name has 1 to %d bytes", maxName), "name the group as orders do",
				"groups", strconv.Itoa(i))
		}
	}
	if len(s.Groups) > maxTargets {
		found.Add(fmt.Sprintf("%d groups are named: %d are allowed", len(s.Groups), maxTargets), "name fewer", "groups")
	}
	if !slices.Contains([]string{RefuseIfEdited, Overwrite}, s.Config) {
		found.Add(fmt.Sprintf("config is %q", s.Config), "use "+RefuseIfEdited+" or "+Overwrite, "config")
	}
	if err := CheckTrial(s.Trial.D()); err != nil {
		found.Add(err.Error(), "write a time from 5m to 1h", "trial")
	}
	return found
}

// CheckTrial says why nobody may give a release so long to prove itself.
func CheckTrial(d time.Duration) error {
	if d < 5*time.Minute || d > time.Hour {
		return fmt.Errorf("trial is %v: 5m to 1h are allowed", d)
	}
	return nil
}

// Trust returns whose orders are taken by valid settings.
func (s Settings) Trust() Trust {
	keys, _ := ParseKeys(s.Keys) // checked when the configuration was taken
	roots, _ := ParseKeys(s.Roots)
	return Trust{Keys: keys, Roots: roots, Threshold: s.Threshold}
}
