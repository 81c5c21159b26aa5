//go:build !small

package main

import "github.com/spf13/cobra"

// extent stands behind the version where something is left out.
const extent = ""

// workshop returns a command that prepares or examines gateways, and is of no use on
// one that runs: the build tag small leaves it out.
func workshop(name string) *cobra.Command {
	switch name {
	case "demo":
		return demoCommand()
	case "init":
		return initCommand()
	case "fleet":
		return fleetCommand()
	case "ledger":
		return ledgerCommand()
	case "profiles":
		return profilesCommand()
	case "cloud":
		return cloudCommand()
	case "decode":
		return decodeCommand()
	}
	panic("no command " + name)
}
