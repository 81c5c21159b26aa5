package configs

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/needtest"
)

// A validator that is not ours (Debian python3-jsonschema, python3-yaml) agrees
// with the loader about examples and about simple mistakes.
func TestSchema(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import jsonschema, yaml").Run(); err != nil {
		needtest.Missing(t, "no python3-jsonschema and python3-yaml")
	}
	const script = `
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for name in sys.argv[2:]:
    errors = list(validator.iter_errors(yaml.safe_load(open(name))))
    words = ["/".join(map(str, e.absolute_path)) + ": " + e.message[:150] for e in errors[:3]]
    print(name, "wrong" if errors else "right", *words)
`
	right := []string{"examples/first-run.yaml", "examples/every-key.yaml"}
	good, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	right = append(right, good...)
	wrong := []string{"key-unknown-root", "key-unknown-device", "key-unknown-point", "type-text-for-integer",
		"type-text-for-section", "type-list-for-map", "type-duration-without-unit"}
	for i, name := range wrong {
		wrong[i] = filepath.Join("testdata", name+".bad.yaml")
	}
	for schema, files := range map[string][]string{
		"schema/gateway.schema.json": append(right, wrong...),
		"schema/fleet.schema.json":   {"examples/fleet.yaml", "testdata/fleet/fleet.yaml"},
	} {
		out, err := exec.Command(python, append([]string{"-c", script, schema}, files...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			name, verdict, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(verdict, "wrong") != strings.HasSuffix(name, ".bad.yaml") {
				t.Errorf("%s: %s", name, verdict)
			}
		}
	}
}
