package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"fieldbridge/configs"
	"fieldbridge/needtest"
)

// template returns what a template says. A function of CloudFormation is its
// argument: what !Sub and !Ref make of it only AWS knows.
func template(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("cloudformation", name))
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return value(root.Content[0]).(map[string]any)
}

func value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, value(item))
		}
		return list
	}
	return n.Value
}

// at returns what stands at a path of keys.
func at(t *testing.T, of any, keys ...string) any {
	t.Helper()
	for _, key := range keys {
		m, ok := of.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("no %s of %s", key, strings.Join(keys, "."))
		}
		of = m[key]
	}
	return of
}

// The template's policy is what 'fleet policy' prints for the configuration beside
// it.
func TestPolicy(t *testing.T) {
	loaded, err := configs.Load(t.Context(), "cloudformation/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := configs.PolicyFor(map[string]*configs.Loaded{loaded.Config.Gateway: loaded}, "eu-central-1",
		"123456789012")
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(at(t, template(t, "fieldbridge.yaml"), "Resources", "GatewayPolicy", "Properties",
		"PolicyDocument"))
	if err != nil {
		t.Fatal(err)
	}
	deployed := strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", "eu-central-1", "${AWS::AccountId}",
		"123456789012", "${!", "${").Replace(string(got))
	if diff := cmp.Diff(canonical(t, want), canonical(t, []byte(deployed))); diff != "" {
		t.Error(diff)
	}
}

// canonical returns a policy with each Action and Resource a list.
func canonical(t *testing.T, policy []byte) any {
	t.Helper()
	var p struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal(policy, &p); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Statement {
		for _, key := range []string{"Action", "Resource"} {
			if one, ok := s[key].(string); ok {
				s[key] = []any{one}
			}
		}
	}
	return p
}

// The rules ask what docs/aws.md says, in SQL of the version that it names, and
// the topics are those of the configuration.
func TestRules(t *testing.T) {
	manual, err := os.ReadFile("../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, name := range []string{"fieldbridge.yaml", "sitewise.yaml", "protobuf.yaml"} {
		for id, resource := range at(t, template(t, name), "Resources").(map[string]any) {
			if at(t, resource, "Type") != "AWS::IoT::TopicRule" {
				continue
			}
			rules++
			sql := at(t, resource, "Properties", "TopicRulePayload", "Sql").(string)
			if !strings.Contains(string(manual), "`"+sql+"`") {
				t.Errorf("%s: docs/aws.md does not have %q", id, sql)
			}
			if v := at(t, resource, "Properties", "TopicRulePayload", "AwsIotSqlVersion"); v != "2016-03-23" {
				t.Errorf("%s: SQL version %v", id, v)
			}
			if !strings.Contains(sql, "'plant/#'") && !strings.Contains(sql, "'fieldbridge/+/status'") {
				t.Errorf("%s: %q is no topic of gateway.yaml", id, sql)
			}
		}
	}
	if rules != 6 {
		t.Errorf("%d rules, want 6", rules)
	}
}

// The table has the columns that a message of rows has.
func TestTableFitsThePayload(t *testing.T) {
	var schema struct{ Properties map[string]any }
	text, err := os.ReadFile("../docs/schemas/rows.json")
	if err == nil {
		err = json.Unmarshal(text, &schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	columns := at(t, template(t, "fieldbridge.yaml"), "Resources", "Table", "Properties", "TableInput",
		"StorageDescriptor",
		"Columns").([]any)
	for _, c := range columns {
		name := at(t, c, "Name").(string)
		if schema.Properties[name] == nil {
			t.Errorf("a message has no %s", name)
		}
		delete(schema.Properties, name)
		if name != "batches" {
			continue
		}
		batch := at(t, columnsOf(t, text), "properties").(map[string]any)
		for key := range batch {
			if !strings.Contains(at(t, c, "Type").(string), key+":") {
				t.Errorf("the table's batches have no %s", key)
			}
		}
	}
	for name := range schema.Properties {
		t.Errorf("the table has no %s", name)
	}
}

// columnsOf returns the schema of a batch.
func columnsOf(t *testing.T, schema []byte) any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(schema, &all); err != nil {
		t.Fatal(err)
	}
	return at(t, all, "properties", "batches", "items")
}

// The templates are right by the schemas of their resources.
func TestCloudFormation(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed (pip install cfn-lint; Debian has none)")
	}
	out, err := exec.Command(lint, "cloudformation/fieldbridge.yaml", "cloudformation/fleet.yaml",
		"cloudformation/protobuf.yaml", "cloudformation/sitewise.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The Lambda makes of a message of each format the entries that SiteWise takes.
func TestSiteWise(t *testing.T) {
	python := needtest.Program(t, "python3")
	const now = "1795896060000" // a minute after the golden messages; one reading of rows.json is a year older
	for _, format := range []string{"rows", "columns", "flat"} {
		message, err := os.Open("sitewise/golden/" + format + ".json")
		if err != nil {
			t.Fatal(err)
		}
		run := exec.Command(python, "sitewise/index.py", now)
		run.Stdin = message
		got, err := run.Output()
		_ = message.Close()
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("sitewise/golden/" + format + ".entries.json")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}

// Debian's promtool takes the alerts, and each fires when it should.
func TestAlerts(t *testing.T) {
	promtool := needtest.Program(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		run := exec.Command(promtool, args...)
		run.Dir = "prometheus"
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	alerts, err := os.ReadFile("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("prometheus/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(alerts), -1) {
		if !regexp.MustCompile(`alertname: ` + m[1] + `\s+exp_alerts:\s+- exp_labels`).Match(tests) {
			t.Errorf("nothing shows that %s fires", m[1])
		}
	}
}

// TestHook runs the tests of the pre-provisioning hook.
func TestHook(t *testing.T) {
	python := needtest.Program(t, "python3")
	run := exec.Command(python, "-B", "-m", "unittest", "-v", "hook_test")
	run.Dir = "provisioning"
	out, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Ran 4 tests") {
		t.Errorf("%v\n%s", err, out)
	}
}
