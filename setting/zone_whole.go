//go:build !small

package setting

import _ "time/tzdata" // gateways often have no zone files

const zonesBuilt = true
