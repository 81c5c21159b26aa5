//go:build !small

package page

// Built says whether the page is in this program: the build tag small leaves it out.
const Built = true
