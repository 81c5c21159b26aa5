package configs

import (
	"context"
	"fmt"
	"math"

	"fieldbridge/configs/tree"
)

// What one load may take. It is far above what a fleet of thousands of gateways
// needs, and keeps what includes itself in a roundabout way, or variables made of
// variables, from taking minutes and the memory.
const (
	maxFiles    = 1000      // files that are read
	maxRead     = 64 << 20  // bytes in them
	maxNodes    = 1_000_000 // values that variables make in one gateway
	maxMade     = 4_000_000 // values of one gateway, with profiles
	maxReplaced = 16 << 20  // bytes of texts that variables make in one gateway
)

// interrupted is the error of a load that ctx ends, nil while it goes on.
func interrupted(ctx context.Context, at tree.Position) *tree.Problem {
	if ctx.Err() == nil {
		return nil
	}
	p := tree.NewProblem(at, "reading was interrupted", "")
	return &p
}

// weights are how many values there are in trees of which parts may be shared.
type weights map[*tree.Node]int

// of returns how many values are in n; what is more than an int can say is its
// largest.
func (w weights) of(n *tree.Node) int {
	if n.Kind == tree.Scalar || n.Kind == tree.Null {
		return 1
	}
	if known, ok := w[n]; ok {
		return known
	}
	sum := 1
	add := func(part *tree.Node) {
		if sum += w.of(part); sum < 0 {
			sum = math.MaxInt / 2
		}
		sum = min(sum, math.MaxInt/2)
	}
	for _, item := range n.Items {
		add(item)
	}
	for _, m := range n.Members {
		add(m.Value)
	}
	w[n] = sum
	return sum
}

// tooMany returns the problem of a gateway that has more values than may be.
func tooMany(root *tree.Node) *tree.Problem {
	w := make(weights)
	if w.of(root) <= maxMade {
		return nil
	}
	// The innermost place that has nearly all of them.
	at := root
	for heavy := true; heavy; {
		heavy = false
		for _, m := range at.Members {
			if heavy = w.of(m.Value) > maxMade/2; heavy {
				at = m.Value
				break
			}
		}
	}
	p := tree.NewProblem(at.Pos, fmt.Sprintf("the configuration becomes more than %d values", maxMade),
		"check ranges, and profiles that many devices have")
	return &p
}
