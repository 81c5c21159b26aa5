package configs

import (
	_ "embed"
	"strings"
	"text/template"

	"fieldbridge/configs/tree"
)

// Starter is what a first configuration is made of.
type Starter struct {
	Gateway  string // the AWS thing name
	Endpoint string // the AWS IoT data endpoint
	Modbus   string // host or host:port of a Modbus TCP device, "" for none
	Sensors  bool   // whether an embedded broker listens for MQTT sensors
}

//go:embed starter.tmpl
var starterText string

var starterTemplate = template.Must(template.New("starter").Funcs(template.FuncMap{
	"yaml": func(s string) string { return tree.Text(s, true) },
}).Parse(starterText))

// YAML returns a commented file that loads without errors, if its values are
// possible.
func (s Starter) YAML() string {
	var b strings.Builder
	if err := starterTemplate.Execute(&b, s); err != nil {
		panic(err) // the template is constant and knows its data
	}
	return b.String()
}
