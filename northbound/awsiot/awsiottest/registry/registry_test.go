package registry

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// code returns the API's name of an error, "" for none.
func code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

const policyText = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect",
	"Resource":"arn:aws:iot:eu-central-1:123456789012:client/${iot:Connection.Thing.ThingName}",
	"Condition":{"Bool":{"iot:Connection.Thing.IsAttached":["true"]}}}]}`

func filled(t *testing.T) *Registry {
	t.Helper()
	r := New()
	for _, err := range []error{r.AddThing(Thing{Name: "press-1"}), r.AddThing(Thing{Name: "press-2"}),
		r.AddPolicy("gateways", policyText)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.AddCertificate(Certificate{ID: "c1", Status: Active})
	return r
}

// TestHolder: who is attached to what decides what a certificate's holder may do.
func TestHolder(t *testing.T) {
	r := filled(t)
	may := func(client string) bool {
		h := r.Holder("c1", "any name", client)
		return h.Policy.Allows("iot:Connect", "client/"+client, h.Variables)
	}
	var got []bool
	note := func() { got = append(got, may("press-1"), may("press-2"), r.Holder("c1", "", "x").Thing != "") }
	note() // nothing is attached
	if err := r.AttachPolicy("gateways", "c1"); err != nil {
		t.Fatal(err)
	}
	note() // no thing
	if err := r.Attach("c1", "press-1", false); err != nil {
		t.Fatal(err)
	}
	note()
	if err := r.Attach("c1", "press-1", true); err != nil {
		t.Fatal(err)
	}
	note()
	want := []bool{false, false, false, false, false, false, true, false, false, true, false, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who may connect (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	r := filled(t)
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"the same thing again": {r.AddThing(Thing{Name: "press-1"}), ""},
		"with other attributes": {r.AddThing(Thing{Name: "press-1", Attributes: map[string]string{"a": "b"}}),
			"ResourceAlreadyExistsException"},
		"a name with a space":    {r.AddThing(Thing{Name: "press 1"}), "InvalidRequestException"},
		"of an unknown type":     {r.AddThing(Thing{Name: "press-3", Type: "x"}), "ResourceNotFoundException"},
		"an unknown thing":       {r.Attach("c1", "press-9", false), "ResourceNotFoundException"},
		"an unknown certificate": {r.Attach("c9", "press-1", false), "ResourceNotFoundException"},
		"its own thing":          {r.Attach("c1", "press-1", true), ""},
		"and another":            {r.Attach("c1", "press-2", false), "InvalidRequestException"},
		"a thing in use":         {r.DeleteThing("press-1"), "InvalidRequestException"},
		"a thing that is free":   {r.DeleteThing("press-2"), ""},
		"an active certificate":  {r.DeleteCertificate("c1", true), "CertificateStateException"},
		"an unknown policy":      {r.AttachPolicy("x", "c1"), "ResourceNotFoundException"},
		"a policy twice":         {r.AddPolicy("gateways", policyText), "ResourceAlreadyExistsException"},
		"a policy that is none": {r.AddPolicy("x", `{"Version":"2012-10-17","Statement":[{"Effect":"May"}]}`),
			"MalformedPolicyException"},
		"an unknown condition": {r.AddPolicy("x", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*",
			"Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"x"}}}}`), "MalformedPolicyException"},
	} {
		if got := code(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
