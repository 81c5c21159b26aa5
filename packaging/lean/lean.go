// Package lean has the flags by which the program is built small: the Makefile's, for
// what is shipped and measured.
package lean

import "fmt"

// cold runs at the start and for people alone: nothing of it is inlined.
var cold = []string{"fieldbridge/cmd", "fieldbridge/configs", "fieldbridge/console",
	"fieldbridge/northbound/awsiot/awsiottest", "fieldbridge/northbound/awsiot/identity",
	"fieldbridge/northbound/awsiot/remote", "fieldbridge/gateway", "fieldbridge/release",
	"fieldbridge/southbound/modbus/setup", "fieldbridge/southbound/modbus/commission",
	"fieldbridge/southbound/modbus/permit", "fieldbridge/plain", "fieldbridge/condition", "fieldbridge/vitals",
	"fieldbridge/signed", "fieldbridge/ledger", "fieldbridge/bundle",
	"github.com/godbus", "github.com/spf13", "go.yaml.in", "net/http", "mime", "crypto/tls", "crypto/x509",
	"encoding/asn1"}

// hot is what each reading passes all the same, within cold.
var hot = []string{"fieldbridge/gateway/recent"}

// Flags returns those of go build, and of its linker, for the whole program and for the
// one of the build tag small. HTTP/2 is left out of both: the console and the control
// socket speak HTTP/1.1.
func Flags(arch string, small bool) (build []string, link string) {
	link = "-s -w"
	if arch == "amd64" || arch == "386" { // where Go puts functions at 32 bytes; elsewhere it is less
		align := 16
		if small {
			align = 8
		}
		link += fmt.Sprint(" -funcalign=", align)
	}
	if small {
		return []string{"-tags=nethttpomithttp2,small", "-gcflags=all=-l"}, link
	}
	build = []string{"-tags=nethttpomithttp2"}
	for _, p := range cold {
		build = append(build, "-gcflags="+p+"/...=-l")
	}
	for _, p := range hot {
		build = append(build, "-gcflags="+p+"=") // the last that names a package counts
	}
	return build, link
}
