package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge/onboard"
	"fieldbridge/configs"
)

// creation is the flags of `create`: the names of what is made.
type creation struct {
	bucket       string
	policy       string
	kind         string // thing type
	shadow       string
	files        string // role
	provisioning string // role
}

// filesRole is the role by which AWS IoT reads gateways' files, if no other is named.
const filesRole = "fieldbridge-files"

// registration is AWS's policy for roles that provisioning templates act by (AWS IoT
// Core, Provisioning devices that don't have device certificates using fleet
// provisioning).
const registration = "service-role/AWSIoTThingsRegistration"

func createCommand() *cobra.Command {
	c := &cobra.Command{Use: "create FLEET.yaml --bucket BUCKET [--plan]",
		Short: "make what a fleet needs in the account and does not have: groups, policy, template, roles, search",
		Args:  takes(cobra.ExactArgs(1)),
		Long: "Roles are for AWS IoT alone: one reads the bucket, one does what the provisioning template says.\n" +
			"Things are made by provisioning: run it again, and those that came meanwhile are put into their groups.\n" +
			"What else stands in the account is left alone."}
	var cr creation
	f := c.Flags()
	plan := f.Bool("plan", false, "only tell what would be made")
	f.StringVar(&cr.bucket, "bucket", "", "the `BUCKET` of S3 for files")
	f.StringVar(&cr.policy, "policy", "fieldbridge", "the `NAME` of the gateways' policy")
	f.StringVar(&cr.kind, "type", "fieldbridge", "the `NAME` of the gateways' thing type")
	f.StringVar(&cr.shadow, "shadow", "gateway", "the `NAME` of the gateways' shadow, which is made searchable")
	f.StringVar(&cr.files, "files-role", filesRole,
		"the `NAME` of the role by which AWS IoT reads the bucket; empty: none")
	f.StringVar(&cr.provisioning, "provisioning-role", "fieldbridge-provisioning",
		"the `NAME` of the role that a provisioning template acts by, if gateways name a template; empty: no template")
	c.RunE = func(c *cobra.Command, args []string) error {
		each, err := configs.LoadEach(c.Context(), args[0])
		if err != nil {
			return usageError{err}
		}
		want, err := load(c.Context(), args[0])
		if err != nil {
			return err
		}
		a, err := open(c)
		if err != nil {
			return err
		}
		things, err := a.Things(c.Context())
		if err != nil {
			return err
		}
		parts, err := cr.parts(a, each, want, things)
		if err != nil {
			return err
		}
		if err := settle(c, parts, *plan); err != nil {
			return err
		}
		away := 0
		for name := range want.gateways {
			if !things[name] {
				away++
			}
		}
		if away > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "%d of %d gateways are no things of the account yet: run it again when they are\n",
				away, len(want.gateways))
		}
		return nil
	}
	return c
}

// parts returns what the account is to have, in the order in which it can be made.
func (cr *creation) parts(a *account.Account, each map[string]*configs.Loaded, want wanted,
	things map[string]bool) ([]account.Part, error) {
	if err := want.namesFit(); err != nil {
		return nil, usageError{err}
	}
	fits, err := configs.PolicyFor(each, a.Region, a.ID)
	if err != nil {
		return nil, usageError{err}
	}
	text, err := json.Marshal(fits)
	if err != nil {
		return nil, err
	}
	parts := []account.Part{a.Search(cr.shadow), a.ThingType(cr.kind), a.Policy(cr.policy, string(text))}
	groups := want.groups()
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		there := slices.DeleteFunc(groups[name], func(thing string) bool { return !things[thing] })
		parts = append(parts, a.Group(name, there))
	}
	if cr.bucket != "" {
		parts = append(parts, a.Bucket(cr.bucket))
		if cr.files != "" {
			parts = append(parts, a.Role(account.Role{Name: cr.files, Policy: a.ReadFiles(cr.bucket)}))
		}
	}
	template, err := onboard.For(each, cr.policy, fits)
	if err != nil || cr.provisioning == "" { // no gateway asks for one
		return parts, nil
	}
	body, err := json.Marshal(template.Body)
	if err != nil {
		return nil, err
	}
	return append(parts, a.Role(account.Role{Name: cr.provisioning, Attached: registration}),
		a.Template(template.Name, string(body), a.RoleARN(cr.provisioning))), nil
}

// groups returns the gateways of all groups of the file.
func (w wanted) groups() map[string][]string {
	all := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(w.gateways)) {
		for _, group := range w.gateways[name].groups {
			all[group] = append(all[group], name)
		}
	}
	return all
}

// mostGroups is how many groups one thing may be in (AWS IoT Core, Static thing
// groups).
const mostGroups = 10

// groupNames are those that AWS takes (API_CreateThingGroup).
var groupNames = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)

// namesFit says which groups of the file AWS would refuse.
func (w wanted) namesFit() error {
	for _, name := range slices.Sorted(maps.Keys(w.gateways)) {
		groups := w.gateways[name].groups
		if len(groups) > mostGroups {
			return fmt.Errorf("%s is in %d groups: AWS takes a thing into %d", name, len(groups), mostGroups)
		}
		for _, g := range groups {
			if !groupNames.MatchString(g) {
				return fmt.Errorf("group %q of %s cannot be a thing group: AWS takes 1 to 128 of a-z A-Z 0-9 : _ -", g, name)
			}
		}
	}
	return nil
}

// settle makes the parts that are not there, or tells which they are.
func settle(c *cobra.Command, parts []account.Part, plan bool) error {
	w, todo := c.OutOrStdout(), 0
	for _, p := range parts {
		state, err := p.Look(c.Context())
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		fmt.Fprintf(w, "%s %s\n", map[account.State]string{account.Absent: "+", account.Differs: "~",
			account.Right: "="}[state], p.Name)
		if state == account.Right {
			continue
		}
		todo++
		if plan {
			continue
		}
		if err := p.Make(c.Context(), state); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if plan {
		fmt.Fprintf(w, "%d of %d would be made (+) or changed (~)\n", todo, len(parts))
		return nil
	}
	fmt.Fprintf(w, "%d of %d were made (+) or changed (~)\n", todo, len(parts))
	return nil
}
