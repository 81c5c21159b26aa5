package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/release"
	"fieldbridge/setting"
)

// mostStreamed is how many bytes a file may have that gateways get over MQTT (AWS
// General Reference, quotas of AWS IoT Device Management, file streams: 24 MB).
const mostStreamed = 24 << 20

// program is a release for one kind of processor.
type program struct {
	release.Manifest
	manifest, signature, content []byte
}

// platform is what it runs on, as gateways tell it.
func (p program) platform() string { return p.OS + "/" + p.Arch }

// loadRelease reads the folder of a release. Whether it is signed by keys that
// gateways have, only they know.
func loadRelease(dir string) (p program, err error) {
	for name, into := range map[string]*[]byte{release.ManifestFile: &p.manifest, release.SignatureFile: &p.signature,
		release.Program: &p.content} {
		if *into, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return p, fmt.Errorf("%s is no folder of a release ('fieldbridge-fleet release' makes one): %w", dir, err)
		}
	}
	if err := json.Unmarshal(p.manifest, &p.Manifest); err != nil {
		return p, fmt.Errorf("%s: %w", filepath.Join(dir, release.ManifestFile), err)
	}
	sum := sha256.Sum256(p.content)
	if hex.EncodeToString(sum[:]) != p.SHA256 || int64(len(p.content)) != p.Size {
		return p, fmt.Errorf("%s: the program is not the one of %s", dir, release.ManifestFile)
	}
	return p, nil
}

// loadReleases reads the folders of one version, each for another kind of processor.
func loadReleases(dirs []string) (all []program, err error) {
	for _, dir := range dirs {
		p, err := loadRelease(dir)
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			switch {
			case o.Version != p.Version:
				return nil, fmt.Errorf("%s is of version %s, and another of %s: one command brings one version", dir, p.Version,
					o.Version)
			case o.platform() == p.platform():
				return nil, fmt.Errorf("%s is a second release for %s", dir, p.platform())
			}
		}
		all = append(all, p)
	}
	return all, nil
}

func updateCommand() *cobra.Command {
	c := &cobra.Command{Use: "update FLEET.yaml RELEASE... [--group NAME] [--then NAME] --bucket BUCKET " +
		"--key FILE", Short: "bring a version of the program to the gateways that run another one, group by group",
		Args: takes(cobra.MinimumNArgs(2)), Long: "RELEASE is a folder as 'fieldbridge-fleet release' makes it, one for " +
			"each kind of processor in the fleet:\ngateways tell theirs in their shadow.\n" + stagesAre}
	var cs campaign
	cs.add(c, 180)
	trial := c.Flags().Duration("trial", 0, "how long it has to prove itself on a gateway, 1s to 1h; 0 leaves that to "+
		"the gateway")
	apart := c.Flags().Duration("apart", 0, "a gateway that tried another release within that `TIME` (24h: not twice "+
		"a day) fails this one; 0 asks for nothing")
	assume := c.Flags().String("assume", "", "the `PLATFORM`, as linux/arm64, of gateways that do not tell theirs")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := cs.check(); err != nil {
			return usageError{err}
		}
		if *trial != 0 && (*trial < time.Second || *trial > time.Hour) {
			return usageError{errors.New("--trial is 1s to 1h")}
		}
		if *apart < 0 {
			return usageError{errors.New("--apart is a time of 0 or more")}
		}
		want, err := load(c.Context(), args[0])
		if err != nil {
			return err
		}
		want.deaf.warn(c.ErrOrStderr(), "update")
		programs, err := loadReleases(args[1:])
		if err != nil {
			return usageError{err}
		}
		for _, p := range programs {
			if p.Size > mostStreamed && !cs.https {
				return usageError{fmt.Errorf("the program for %s has %d bytes, and streams carry %d: say --https",
					p.platform(), p.Size, mostStreamed)}
			}
		}
		parts, err := want.split(cs.groups)
		if err != nil {
			return usageError{err}
		}
		return cs.run(c, parts, func(found []account.Gateway) (all []cargo) {
			by := map[string]account.Gateway{}
			for _, g := range found {
				if g.Platform == "" {
					g.Platform = *assume
				}
				by[g.Name] = g
			}
			for _, p := range programs {
				all = append(all, cargo{operation: "update", title: "version " + p.Version + " for " + p.platform(),
					what: rollout.Update{Manifest: p.manifest, Signature: p.signature, Trial: setting.Duration(*trial),
						Apart: setting.Duration(*apart)},
					sum: p.SHA256, content: p.content,
					fits:  func(name string) bool { return by[name].Platform == p.platform() },
					needs: func(name string) bool { return by[name].Version != p.Version }})
			}
			return all
		})
	}
	return c
}
