package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/northbound/awsiot/awsiottest/control"
)

// asTool has the test's program be the tool itself, as workflows call it.
const asTool = "FLEET_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) == "" {
		os.Exit(m.Run())
	}
	poll, pace = 5*time.Millisecond, account.Options{Wait: 5 * time.Millisecond}
	main()
}

// readYAML reads a file of deploy. CloudFormation's functions are their arguments.
func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", file))
	if err == nil {
		text = regexp.MustCompile(`!(Sub|Ref|GetAtt) `).ReplaceAll(text, nil)
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// operator is a role that CI may take, as CloudFormation makes it.
func (a *fleetAccount) operator() (allowed []string, arn string) {
	a.Helper()
	var template struct {
		Resources struct {
			OperatorRole struct {
				Properties struct {
					MaxSessionDuration int `yaml:"MaxSessionDuration"`
					Policies           []struct {
						PolicyDocument map[string]any `yaml:"PolicyDocument"`
					} `yaml:"Policies"`
				} `yaml:"Properties"`
			} `yaml:"OperatorRole"`
		} `yaml:"Resources"`
	}
	readYAML(a.T, "cloudformation/fleet.yaml", &template)
	p := template.Resources.OperatorRole.Properties
	r := control.Role{Name: "operator", Session: time.Duration(p.MaxSessionDuration) * time.Second,
		Policies: map[string]string{}}
	for i, policy := range p.Policies {
		text, err := json.Marshal(policy.PolicyDocument)
		if err != nil {
			a.Fatal(err)
		}
		r.Policies[fmt.Sprint(i)] = string(text)
		for _, quoted := range regexp.MustCompile(`"(iot|s3|iam):\w+"`).FindAllString(string(text), -1) {
			allowed = append(allowed, strings.Trim(quoted, `"`))
		}
	}
	a.AddRole(r, "a token of CI")
	slices.Sort(allowed)
	return allowed, "arn:aws:iam::" + control.Account + ":role/operator"
}

// ci is a machine of CI: it has a checkout, the tool where it is fetched from, and no
// credentials.
type ci struct {
	*fleetAccount
	dir string            // the checkout
	env map[string]string // of all steps
}

func (a *fleetAccount) ci() *ci {
	a.Helper()
	self, err := os.Executable()
	if err != nil {
		a.Fatal(err)
	}
	tool := a.write("tool", "#!/bin/sh\n"+asTool+"=1 exec "+self+" \"$@\"\n")
	text, err := os.ReadFile(tool)
	if err != nil {
		a.Fatal(err)
	}
	runner := a.TempDir()
	m := &ci{a, filepath.Join(a.TempDir(), "project"), map[string]string{"PATH": os.Getenv("PATH"), "HOME": runner,
		"AWS_ENDPOINT_URL": a.URL, "AWS_ENDPOINT_URL_STS": a.URL,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "true", "RUNNER_TEMP": runner, "CI_PROJECT_DIR": "", "FLEET_TOOL_URL": "file://" + tool,
		"FLEET_TOOL_SHA256": fmt.Sprintf("%x", sha256.Sum256(text))}}
	m.env["CI_PROJECT_DIR"] = m.dir
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		a.Fatal(err)
	}
	m.checkout()
	return m
}

func (m *ci) checkout() {
	m.Helper()
	text, err := os.ReadFile(m.file)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.dir, "fleet.yaml"), text, 0o600)
	}
	if err != nil {
		m.Fatal(err)
	}
}

// shell runs lines as they stand in a workflow, and returns what they print.
func (m *ci) shell(lines string, env map[string]string) string {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", lines)
	cmd.Dir, cmd.WaitDelay = m.dir, time.Second
	all := maps.Clone(m.env)
	maps.Copy(all, env)
	for name, value := range all {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	m.Logf("%s\n%s", lines, out)
	if err != nil {
		m.Errorf("%s: %v", lines, err)
	}
	return string(out)
}

// github is a workflow of GitHub Actions.
type github struct {
	Env  map[string]string `yaml:"env"`
	Jobs map[string]struct {
		Steps []struct {
			Uses string            `yaml:"uses"`
			With map[string]string `yaml:"with"`
			Run  string            `yaml:"run"`
			Env  map[string]string `yaml:"env"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// github runs a job of the workflow, and returns what it prints. values are its
// variables and secrets.
func (m *ci) github(job string, values map[string]string) (printed string) {
	m.Helper()
	var w github
	readYAML(m.T, "github/fleet.yml", &w)
	given := regexp.MustCompile(`\$\{\{ (?:vars|secrets)\.(\w+) \}\}`)
	expand := func(text string) string {
		return given.ReplaceAllStringFunc(text, func(name string) string {
			value, ok := values[given.FindStringSubmatch(name)[1]]
			if !ok {
				m.Errorf("%s is not among those that the head of the file names", name)
			}
			return value
		})
	}
	paths := filepath.Join(m.env["RUNNER_TEMP"], "paths")
	env := map[string]string{"GITHUB_PATH": paths}
	for name, value := range w.Env {
		env[name] = expand(value)
	}
	for _, step := range w.Jobs[job].Steps {
		switch action, _, _ := strings.Cut(step.Uses, "@"); action {
		case "":
		case "actions/checkout":
			m.checkout()
			continue
		case "aws-actions/configure-aws-credentials":
			maps.Copy(env, m.assume(expand(step.With["role-to-assume"]), step.With["role-duration-seconds"]))
			env["AWS_REGION"] = expand(step.With["aws-region"])
			continue
		default:
			m.Errorf("nobody here knows the action %s", step.Uses)
		}
		own := maps.Clone(env)
		for name, value := range step.Env {
			own[name] = expand(value)
		}
		printed += m.shell(expand(step.Run), own)
		if more, err := os.ReadFile(paths); err == nil {
			env["PATH"] = strings.Join(strings.Fields(string(more)), ":") + ":" + m.env["PATH"]
		}
	}
	return printed
}

// assume takes a role with a token, as the action of GitHub does.
func (m *ci) assume(role, seconds string) map[string]string {
	m.Helper()
	r, err := http.PostForm(m.URL, url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {role},
		"RoleSessionName": {"GitHubActions"}, "WebIdentityToken": {"a token of CI"}, "DurationSeconds": {seconds}})
	if err != nil {
		m.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		ID     string `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&answer); err != nil || answer.Token == "" {
		m.Fatalf("%s: %v", r.Status, err)
	}
	return map[string]string{"AWS_ACCESS_KEY_ID": answer.ID, "AWS_SECRET_ACCESS_KEY": answer.Secret,
		"AWS_SESSION_TOKEN": answer.Token}
}

// gitlab runs a job of the pipeline, and returns what it prints.
func (m *ci) gitlab(job string, values map[string]string) string {
	m.Helper()
	var all map[string]yaml.Node
	readYAML(m.T, "gitlab/fleet.yml", &all)
	var j struct {
		Extends   string            `yaml:"extends"`
		Variables map[string]string `yaml:"variables"`
		Before    []string          `yaml:"before_script"`
		Script    []string          `yaml:"script"`
		After     []string          `yaml:"after_script"`
	}
	of := func(name string) {
		node := all[name]
		if err := node.Decode(&j); err != nil {
			m.Fatal(err)
		}
	}
	of(job)
	of(j.Extends)
	env := maps.Clone(values)
	for name, value := range j.Variables {
		env[name] = os.Expand(value, func(of string) string {
			if v, ok := m.env[of]; ok {
				return v
			}
			return values[of]
		})
	}
	printed := m.shell(strings.Join(append(j.Before, j.Script...), "\n"), env)
	return printed + m.shell(strings.Join(j.After, "\n"), env)
}

// TestPipelines runs the workflows of deploy as they are written, with credentials that
// are made for each run, and then what else an operator does. The role's policy must
// allow each call that is made, and nothing that is never called.
func TestPipelines(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	allowed, role := a.operator()
	m := a.ci()
	a.gateways()
	key, err := os.ReadFile(filepath.Join(a.dir, "signing.key"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"AWS_REGION": control.Region, "FLEET_ROLE": role, "FLEET_BUCKET": "files",
		"FLEET_FILES_ROLE": "arn:aws:iam::123456789012:role/fieldbridge-files", "FLEET_SIGNING_KEY": string(key),
		"FLEET_TOOL_URL": m.env["FLEET_TOOL_URL"], "FLEET_TOOL_SHA256": m.env["FLEET_TOOL_SHA256"]}
	if out := m.github("plan", values); !strings.Contains(out, "3 gateways are right") {
		t.Error("what is not merged is not checked")
	}
	if out := m.github("rollout", values); !strings.Contains(out, "3 current") || strings.Contains(out, string(key)) {
		t.Error("GitHub does not roll out, or tells the key")
	}
	a.write("fleet.yaml", strings.ReplaceAll(fleetText, "site:", "zone:"))
	m.checkout()
	delete(values, "FLEET_SIGNING_KEY")
	values["AWS_TOKEN"], values["SIGNING_KEY"] = "a token of CI", filepath.Join(a.dir, "signing.key")
	if out := m.gitlab("fleet-check", values); !strings.Contains(out, "3 gateways are right") {
		t.Error("what is not merged is not checked")
	}
	if out := m.gitlab("fleet-rollout", values); !strings.Contains(out, "rest: 2 of 2 done") {
		t.Error("GitLab does not roll out")
	}
	if _, err := os.Stat(m.dir + ".token"); err == nil {
		t.Error("the token stays on the machine")
	}
	a.operate(m.assume(role, "21600"))
	called := a.Actions("operator")
	maps.DeleteFunc(called, func(name string, _ int) bool { return strings.HasPrefix(name, "sts:") })
	if diff := cmp.Diff(allowed, slices.Sorted(maps.Keys(called))); diff != "" {
		t.Errorf("what the role allows (-) and what is called (+):\n%s", diff)
	}
}

// operate does with given credentials what no workflow does.
func (a *fleetAccount) operate(credentials map[string]string) {
	a.Helper()
	for name, value := range credentials {
		a.Setenv(name, value)
	}
	for _, name := range []string{"g1", "g2", "g3"} {
		a.is(name, func(r *running) { r.Platform = "linux/amd64" })
	}
	if code, _, _ := a.update(a.releases("1.1.0")[:1], "--https"); code != exitDone {
		a.Error("no update")
	}
	for _, operation := range []string{"rotate", "diagnose"} {
		if code, _, _ := a.run(operation, "--gateway", "g1", "--key", filepath.Join(a.dir, "signing.key")); code != exitDone {
			a.Errorf("no %s", operation)
		}
	}
	for _, name := range []string{"old", "new"} {
		if code, _, _ := a.update(a.releases("1.1.1")[:1], "--again", "--role", name); code != exitDone {
			a.Error("no update")
		}
		a.is("g1", func(r *running) { r.Version = "1.1.0" })
	}
	a.spoil = func(string) bool { return true }
	if code, _, _ := a.update(a.releases("1.2.0")[:1]); code != exitStopped {
		a.Error("a bad update goes on")
	}
	if code, out, _ := a.run("status", a.file); code != exitDone || !strings.Contains(out, "boiler.temp") {
		a.Error("no status")
	}
	a.thing("g4") // which nobody is yet
	if code, _, _ := a.run("diagnose", "--gateway", "g4", "--wait=false", "--key",
		filepath.Join(a.dir, "signing.key")); code != exitDone {
		a.Error("no order that waits")
	}
	if code, _, _ := a.run("create", a.file, "--bucket", "files", "--plan"); code != exitFailed {
		a.Error("who may only roll out sees what is made")
	}
	if code, _, _ := a.run("pause", "--force"); code != exitDone {
		a.Error("no pause")
	}
}
