//go:build small

package setting

const zonesBuilt = false
