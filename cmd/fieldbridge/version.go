package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
)

// version is set by the linker (Makefile).
var version = "dev"

func runVersion(_ context.Context, _ []string, stdout, _ io.Writer) int {
	fmt.Fprintf(stdout, "fieldbridge %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitDone
}
