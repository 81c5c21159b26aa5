//go:build small

package sparkplug

// Built says whether Sparkplug is in this program: the build tag small leaves it out.
const Built = false
