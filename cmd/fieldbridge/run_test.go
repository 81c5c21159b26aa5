package main

import (
	"os"
	"runtime"
	"testing"
)

func TestOneThread(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	t.Setenv("GOMAXPROCS", "2")
	oneThread()()
	if got := runtime.GOMAXPROCS(0); got != all {
		t.Errorf("GOMAXPROCS is set, and %d threads became %d", all, got)
	}
	if err := os.Unsetenv("GOMAXPROCS"); err != nil {
		t.Fatal(err)
	}
	end := oneThread()
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("%d threads", got)
	}
	if end(); runtime.GOMAXPROCS(0) < min(2, runtime.NumCPU()) {
		t.Errorf("%d threads after the end", runtime.GOMAXPROCS(0))
	}
}
