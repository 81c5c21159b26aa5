package control

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// signer is a CA.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (s *signer) Sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)
}

// broker is the MQTT side, with shadows as they are put.
type broker struct{ shadows map[string]string }

func (b *broker) Shadow(thing, name string) []byte {
	var doc struct{ State json.RawMessage }
	if json.Unmarshal([]byte(b.shadows[thing+"/"+name]), &doc) != nil {
		return []byte("null")
	}
	return doc.State
}
func (b *broker) UpdateShadow(thing, name, document string) { b.shadows[thing+"/"+name] = document }
func (b *broker) Publish(string, []byte) error              { return nil }
func (b *broker) Connected() []string                       { return []string{"press-0"} }
func (b *broker) Disconnect(client string, code byte) bool {
	return client == "press-0" && code == administrative
}
func (b *broker) Addr() string { return "localhost:8883" }

const (
	policyText   = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}`
	templateText = `{"Parameters":{"Name":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},
		"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"}}},
		"certificate":{"Type":"AWS::IoT::Certificate","Properties":{
			"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}}`
)

var example = Key{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// serve starts a control plane and returns it with its CA in PEM, and a request for
// a certificate.
func serve(t *testing.T) (s *Server, ca, csr string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	r := registry.New()
	server := httptest.NewUnstartedServer(nil)
	s = New(Parts{Broker: &broker{map[string]string{}}, Registry: r, Authority: authority.New(r, &signer{cert, key}),
		Jobs: jobs.New(r), Streams: streams.New(), Keys: []Key{example}, URL: "http://" + server.Listener.Addr().String()})
	if err := s.Parts.Registry.AddThing(registry.Thing{Name: "seen"}); err != nil {
		t.Fatal(err)
	}
	s.Broker.UpdateShadow("seen", "gateway", `{"state":{"reported":{"version":"1.2.3"}}}`)
	server.Config.Handler = s
	server.Start()
	t.Cleanup(server.Close)
	return s, text("CERTIFICATE", der), text("CERTIFICATE REQUEST", request)
}

func environment() []string {
	return append(os.Environ(), "AWS_ACCESS_KEY_ID="+example.ID, "AWS_SECRET_ACCESS_KEY="+example.Secret,
		"AWS_DEFAULT_REGION="+Region, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_SESSION_TOKEN=")
}

// TestBoto has boto3 do what an operator does, and compares what it saw.
func TestBoto(t *testing.T) {
	t.Parallel()
	python := needtest.Program(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		needtest.Program(t, "python3-boto3") // says that it is missing
	}
	s, ca, csr := serve(t)
	dir := t.TempDir()
	args := []string{"testdata/control.py", s.URL}
	for name, content := range map[string]string{"1-ca": ca, "2-csr": csr, "3-template": templateText,
		"4-policy": policyText} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"1-ca", "2-csr", "3-template", "4-policy"} {
		args = append(args, filepath.Join(dir, name))
	}
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"thing":   `{"version": 2, "attributes": {"n": "2", "site": "north"}}`,
		"pages":   `[2, 2]`,
		"groups":  `["canary"]`,
		"members": `["press-1"]`,
		"search": `[["press-0", "press-1", "press-2"], ["press-2"], ["press-0", "press-1"], ` +
			`["press-2", "seen"], ["seen"]]`,
		"attached":    `["gateways"]`,
		"principals":  `[true]`,
		"certificate": `["ACTIVE", 2049]`,
		"keys":        `"-----BEGIN RSA PRIVATE KEY-----"`,
		"code":        `64`,
		"ca":          `["ACTIVE"]`,
		"claim":       `["-----BEGIN EC PRIVATE KEY-----", ["ResponseMetadata", "certificateId"]]`,
		"s3":          `[1000, ["a/b c.bin"], ["NoSuchKey", 404]]`,
		"presigned":   `1000`,
		"stream":      `[0, 0]`,
		"execution":   `["IN_PROGRESS", 1000]`,
		"job":         `["CANCELED", 1, "ABORT_CRITERIA_MET", 2.0]`,
		"changed":     `["goes on", 20, 2]`,
		"policy":      `["2", 1]`,
		"details":     `{"step": "apply"}`,
		"shadow":      `{"reported": {"version": "1.3"}}`,
		"endpoint":    `"localhost:8883"`,
		"caller":      `"123456789012"`,
		"refused": `[["InvalidSignatureException", 403], ["UnrecognizedClientException", 403], ` +
			`["ResourceNotFoundException", 404], ["MalformedPolicyException", 400], ["CertificateStateException", 406], ` +
			`["ResourceAlreadyExistsException", 409]]`,
	}
	for name, text := range want {
		if diff := cmp.Diff(decoded(t, []byte(text)), decoded(t, got[name])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d answers, of %d", len(got), len(want))
	}
	if n := s.Calls()["POST /things/{name}"]; n != 3 {
		t.Errorf("%d things were asked for", n)
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return v
}

// TestAWSCLI: Debian's aws, which signs as execute-api, makes a thing and a bucket.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	aws := needtest.Program(t, "/usr/bin/aws")
	s, _, _ := serve(t)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), aws, append(args, "--endpoint-url", s.URL, "--output", "text")...)
		cmd.Env = environment()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := run("iot", "create-thing", "--thing-name", "press-1", "--query", "thingName"); got != "press-1" {
		t.Errorf("made %s", got)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("s3", "mb", "s3://fleet")
	run("s3", "cp", file, "s3://fleet/a/file")
	run("s3", "cp", "s3://fleet/a/file", file+".back")
	if back, err := os.ReadFile(file + ".back"); string(back) != "hello" {
		t.Errorf("back came %q, %v", back, err)
	}
	if got := run("iot", "list-things", "--query", "things[].thingName"); got != "press-1\tseen" {
		t.Errorf("listed %q", got)
	}
}

// TestRoles: boto3 makes a role, and takes it by a token, without any key.
func TestRoles(t *testing.T) {
	t.Parallel()
	python := needtest.Program(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		needtest.Program(t, "python3-boto3") // says that it is missing
	}
	s, _, _ := serve(t)
	for step, want := range []string{
		`{"made": "arn:aws:iam::123456789012:role/r", "again": "EntityAlreadyExists", "none": "NoSuchEntity",
			"policy": ["iot:ListThings"], "attached": [{"PolicyName": "x", "PolicyArn": "arn:aws:iam::aws:policy/x"}]}`,
		`{"long": "ValidationError", "strange": "AccessDenied", "who": true, "may": ["seen"],
			"may not": "AccessDeniedException", "half a key": "UnrecognizedClientException"}`,
	} {
		cmd := exec.CommandContext(t.Context(), python, "testdata/roles.py", s.URL, []string{"make", "take"}[step])
		cmd.Env = environment()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
		if diff := cmp.Diff(decoded(t, []byte(want)), decoded(t, out)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		r, _ := s.Role("r")
		s.AddRole(r, "token")
	}
}

// TestSignatures: the examples of AWS's documentation, and what makes them wrong.
func TestSignatures(t *testing.T) {
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "+
			"SignedHeaders=content-type;host;x-amz-date, "+
			"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
		return r
	}
	keys := map[string]Key{example.ID: example}
	if _, err := verify(request(), nil, keys, at); err != nil {
		t.Errorf("AWS's own example: %v", err)
	}
	for name, change := range map[string]func(*http.Request) ([]byte, time.Time){
		"another body":   func(*http.Request) ([]byte, time.Time) { return []byte("x"), at },
		"another query":  func(r *http.Request) ([]byte, time.Time) { r.URL.RawQuery += "&x=y"; return nil, at },
		"another path":   func(r *http.Request) ([]byte, time.Time) { r.URL.Path = "/x"; return nil, at },
		"another host":   func(r *http.Request) ([]byte, time.Time) { r.Host = "x"; return nil, at },
		"another method": func(r *http.Request) ([]byte, time.Time) { r.Method = "POST"; return nil, at },
		"a stale one":    func(*http.Request) ([]byte, time.Time) { return nil, at.Add(16 * time.Minute) },
		"of tomorrow":    func(*http.Request) ([]byte, time.Time) { return nil, at.Add(-16 * time.Minute) },
		"a strange token": func(r *http.Request) ([]byte, time.Time) {
			r.Header.Set("X-Amz-Security-Token", "x")
			return nil, at
		},
		"none": func(r *http.Request) ([]byte, time.Time) { r.Header.Del("Authorization"); return nil, at },
	} {
		r := request()
		if body, now := change(r); true {
			if _, err := verify(r, body, keys, now); err == nil {
				t.Errorf("%s is taken", name)
			}
		}
	}
	s3 := Key{ID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	link := presign(s3, "us-east-1", "examplebucket.s3.amazonaws.com", "/test.txt",
		time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC), 24*time.Hour)
	if !strings.HasSuffix(link, "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404") {
		t.Errorf("AWS's own example of a URL: %s", link)
	}
	for _, after := range []time.Duration{time.Hour, 25 * time.Hour} {
		r := httptest.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com"+link, nil)
		_, err := verify(r, nil, map[string]Key{s3.ID: s3}, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC).Add(after))
		if (err == nil) != (after == time.Hour) {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

// TestFail: errors on demand, and how often a call was made.
func TestFail(t *testing.T) {
	s, _, _ := serve(t)
	s.Fail(func(call string) error {
		if call == "GET /things" {
			return &registry.Error{Code: "ThrottlingException", Text: "Rate exceeded"}
		}
		return nil
	})
	answer, body := signedCall(t, s, http.MethodGet, "/things", "execute-api")
	if answer.StatusCode != 429 || answer.Header.Get("X-Amzn-Errortype") != "ThrottlingException" {
		t.Errorf("%s: %s", answer.Status, body)
	}
	if n := s.Calls()["GET /things"]; n != 1 {
		t.Errorf("%d calls", n)
	}
}

// signedCall makes one signed call without a body, and returns the answer.
func signedCall(t *testing.T, s *Server, method, path, service string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	signed := signature{scope: scope{example.ID, now.Format("20060102"), Region, service},
		headers: []string{"host", "x-amz-date"}}
	r.Header.Set("X-Amz-Date", now.Format(basicTime))
	r.Host = r.URL.Host
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+example.ID+"/"+signed.day+"/"+Region+"/"+service+
		"/aws4_request, SignedHeaders=host;x-amz-date, Signature="+
		sign(example, signed.scope, now, canonical(r, signed, empty)))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, body
}

// TestDeleteConnection: who is connected is disconnected; the scope of another
// service reaches nothing.
func TestDeleteConnection(t *testing.T) {
	s, _, _ := serve(t)
	for _, tt := range []struct {
		client, service string
		want            int
	}{{"press-0", "iotdata", 200}, {"press-1", "iotdata", 404}, {"press-0", "iot", 404}, {"press-0", "ec2", 403}} {
		answer, body := signedCall(t, s, http.MethodDelete, "/connections/"+tt.client, tt.service)
		if answer.StatusCode != tt.want {
			t.Errorf("%s as %s: %s %s", tt.client, tt.service, answer.Status, body)
		}
	}
}

// FuzzQuery: what is read as a query can be asked.
func FuzzQuery(f *testing.F) {
	f.Add(`thingName:a* AND (NOT attributes.x:"y z" OR shadow.name.n.reported.v>=1.5)`)
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := parseQuery(text); err == nil {
			q(func(string) []string { return []string{"a", "1.5"} })
		}
	})
}

// FuzzUnchunk: no body makes it fall over, and nothing is made up.
func FuzzUnchunk(f *testing.F) {
	f.Add([]byte("5;chunk-signature=x\r\nhello\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if out, err := unchunk(body); err == nil && len(out) > len(body) {
			t.Errorf("%d bytes became %d", len(body), len(out))
		}
	})
}
