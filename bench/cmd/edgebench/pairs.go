package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pairsCmd runs two builds of one gateway in turn, each pair in the other order
// than the one before, and prints the ratio new/old and the difference of each figure:
// their medians over the pairs and a 95 % interval of each median. What it does not know it
// hands to run: edgebench pairs -old DIR -new DIR [-n 10] [-fields F,F] -- FLAGS OF RUN.
func pairsCmd(args []string) error {
	fs := flag.NewFlagSet("pairs", flag.ExitOnError)
	older := fs.String("old", "", "folder with the older build (the peer's -bin)")
	newer := fs.String("new", "", "folder with the newer one")
	n := fs.Int("n", 10, "pairs")
	fields := fs.String("fields", "CPUPer1M,AnonMiB,FileMiB,PeakRSSMiB,BytesPerReading,SyscallsPerReading,P99ms,Lost",
		"result fields")
	fs.Parse(args)
	if *older == "" || *newer == "" {
		return fmt.Errorf("-old and -new are needed")
	}
	dir, err := os.MkdirTemp("", "pairs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	values := map[string][2][]float64{}
	for i := range *n {
		for j := range 2 {
			which := (i + j) % 2
			m, err := runOnce(filepath.Join(dir, fmt.Sprint(i, j)), []string{*older, *newer}[which], fs.Args())
			if err != nil {
				return err
			}
			for _, f := range strings.Split(*fields, ",") {
				if v, ok := m[f].(float64); ok {
					both := values[f]
					both[which] = append(both[which], v)
					values[f] = both
				}
			}
		}
		fmt.Fprintf(os.Stderr, "pair %d of %d: CPU s per million old %v, new %v\n", i+1, *n,
			last(values["CPUPer1M"][0]), last(values["CPUPer1M"][1]))
	}
	fmt.Println("| figure | old | new | ratio | 95 % of the median | difference | 95 % of the median |\n" +
		"|---|---|---|---|---|---|---|")
	for _, f := range strings.Split(*fields, ",") {
		old, now := values[f][0], values[f][1]
		if len(old) == 0 || len(old) != len(now) {
			continue
		}
		var ratios, differences []float64
		for i := range old {
			differences = append(differences, now[i]-old[i])
			if old[i] != 0 {
				ratios = append(ratios, now[i]/old[i])
			}
		}
		ratio := "| "
		if len(ratios) > 0 {
			low, high := medianInterval(ratios)
			ratio = fmt.Sprintf("**%.3f** | %.3f to %.3f", median(ratios), low, high)
		}
		low, high := medianInterval(differences)
		fmt.Printf("| %s | %s | %s | %s | %s | %s to %s |\n", f, num(median(old)), num(median(now)), ratio,
			num(median(differences)), num(low), num(high))
	}
	return nil
}

func last(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return v[len(v)-1]
}

// runOnce runs `edgebench run` and returns its result.
func runOnce(out, bin string, args []string) (map[string]any, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{"run", "-bin", bin, "-out", out}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run with %s: %w", bin, err)
	}
	f, err := os.Open(out)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var m map[string]any
	return m, json.NewDecoder(bufio.NewReader(f)).Decode(&m)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// medianInterval returns the order statistics that hold the median with at least
// 95 %: of n values, the k-th from each end where half the binomial tail below k
// is at most 2.5 %. With fewer than six values it is all of them.
func medianInterval(v []float64) (low, high float64) {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	k, tail, p := 0, 0.0, 1.0
	for range n {
		p /= 2
	}
	for choose := 1.0; k < n/2; k++ {
		tail += choose * p
		if tail > 0.025 {
			break
		}
		choose = choose * float64(n-k) / float64(k+1)
	}
	k = max(k, 1)
	return s[k-1], s[n-k]
}
