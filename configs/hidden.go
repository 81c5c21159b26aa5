package configs

import (
	"strings"

	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// published are the values that a gateway tells the cloud by their purpose: they
// are not secrets, wherever they are from.
var published = [][]string{
	{"gateway"}, {"labels"}, {"northbound", "awsiot", "client_id"}, {"northbound", "awsiot", "topic"},
	{"northbound", "awsiot", "basic_ingest"}, {"northbound", "awsiot", "status_topic"},
	{"northbound", "awsiot", "commands", "topic"}, {"northbound", "awsiot", "shadow", "name"},
}

// hiddenIn returns what nobody is to see of a configuration: what files and
// environment variables hold, PEM text, and passwords in URLs.
func hiddenIn(root *tree.Node, held map[string]string) *setting.Hidden {
	h := new(setting.Hidden)
	for text, source := range held {
		h.Add(text, source)
	}
	eachText(root, func(n *tree.Node) {
		if n.Here {
			h.Add(n.Text, n.Source())
		}
		if strings.Contains(n.Text, "://") {
			h.AddUserinfo(n.Text)
		}
	})
	for _, path := range published {
		eachText(root.At(path...), func(n *tree.Node) {
			for text, source := range held {
				if strings.Contains(n.Source(), source) {
					h.Remove(text)
				}
			}
		})
	}
	return h.Ready()
}

// eachText calls visit for each text in n.
func eachText(n *tree.Node, visit func(n *tree.Node)) {
	if n == nil {
		return
	}
	if n.Kind == tree.Scalar {
		visit(n)
	}
	for _, item := range n.Items {
		eachText(item, visit)
	}
	for _, m := range n.Members {
		eachText(m.Value, visit)
	}
}

// hide takes from problems what nobody is to see.
func hide(h *setting.Hidden, problems []tree.Problem) []tree.Problem {
	for i := range problems {
		problems[i].Text, problems[i].Fix = h.In(problems[i].Text), h.In(problems[i].Fix)
	}
	return problems
}
