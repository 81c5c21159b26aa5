//go:build !race

package needtest

const raced = false
