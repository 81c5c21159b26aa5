package life

import (
	"errors"
	"os"
	"testing"

	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/identity/tpm/tpmtest"
	"fieldbridge/northbound/awsiot/uplink"
)

// attempt opens a connection with the choice, as far as certificate and key go.
func attempt(t *testing.T, h *house, c Choice) error {
	t.Helper()
	a := &uplink.Attempt{Config: &h.config, Client: "press", Network: new(uplink.Machine), Pair: c.Pair}
	_, err := a.Open(t.Context())
	if err == nil {
		t.Fatal("there is no cloud, and it was reached")
	}
	return err
}

// TestKeyInTPM gets an identity whose key a TPM made. While the TPM is away the gateway
// waits for it, however long; once it was cleared, the claim is used again.
func TestKeyInTPM(t *testing.T) {
	chip := tpmtest.Start(t)
	t.Setenv("FIELDBRIDGE_TPM", chip.Path)
	h := newHouse(t)
	h.settings.Key = key.TPM
	h.config.Endpoint = "127.0.0.1:1"
	must(t, h.obtain())
	c := h.connects(t)
	if s := h.Status(c, &h.config, &h.settings); s.Key != "in the TPM" || s.Copyable || s.Weakness != "" {
		t.Errorf("%+v", s)
	}
	h.cloud.claim(string(h.settings.Provision.Claim)) // it was used up

	t.Setenv("FIELDBRIDGE_TPM", t.TempDir()+"/none")
	if s := h.Status(c, &h.config, &h.settings); s.Weakness != "" {
		t.Errorf("the key was opened for its status, once more: %+v", s)
	}
	for range 2 * mostRefusals {
		err := attempt(t, h, h.choose())
		if !errors.Is(err, key.ErrAway) || errors.Is(err, os.ErrNotExist) || uplink.Explain(err).Act {
			t.Fatalf("away: %v", err)
		}
		_ = h.Failed(h.choose(), nil, err)
	}
	if c := h.choose(); c.Kind != Managed {
		t.Fatalf("%s while the TPM is away", c.Kind)
	}
	if s := h.Status(c, &h.config, &h.settings); s.Weakness == "" {
		t.Errorf("away: %+v", s)
	}

	t.Setenv("FIELDBRIDGE_TPM", chip.Path)
	chip.Clear(t)
	for range mostRefusals {
		err := attempt(t, h, h.choose())
		if !errors.Is(err, key.ErrLost) || !uplink.Explain(err).Act {
			t.Fatalf("cleared: %v", err)
		}
		_ = h.Failed(h.choose(), nil, err)
	}
	if s := h.Status(c, &h.config, &h.settings); s.Weakness == "" {
		t.Errorf("cleared: %+v", s)
	}
	if c := h.choose(); c.Kind != ByClaim {
		t.Fatalf("%s after the TPM was cleared", c.Kind)
	}
	must(t, h.obtain())
	h.connects(t)
	if h.cloud.issued != 2 {
		t.Errorf("%d certificates", h.cloud.issued)
	}
}
