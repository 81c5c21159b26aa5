//go:build linux

package crashtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/bundle"
	"fieldbridge/gateway/orders"
	"fieldbridge/northbound/awsiot/accounttest"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/setting"
)

// TestFetchedBundle deploys bundles that are fetched: from a stream that loses, doubles
// and mixes up its blocks, and from an https address whose connections break and that
// expires. A restart in the middle goes on where it was; another file than the one that
// was signed changes nothing.
func TestFetchedBundle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	r := newRig(t, filepath.Join(t.TempDir(), "queue"), 1)
	account, err := accounttest.Around(r.cloud, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := account.Close(); err != nil {
			t.Error(err)
		}
	})
	d := r.deploysBy(account.Jobs)
	d.trusted = []string{"env", "SSL_CERT_FILE=" + r.ca}
	r.start(d.trusted...)
	d.running()
	const cut = 6 << 14
	account.Control.Cut(cut)
	loss := streams.Faults{Lose: 0.05, Duplicate: 0.1, Reorder: 0.1}

	// After ten blocks nothing comes any more, until the gateway has been restarted.
	deaf := loss
	deaf.DeafAfter = 10
	account.Streams.Disturb(deaf)
	d.halfway(account, "stream", func() bool { return account.Streams.Counts().Lost > 8 },
		func() { account.Streams.Disturb(loss) })
	// After two pieces the server has no more time.
	var gets atomic.Int32
	account.Control.Fail(func(call string) error {
		if call == "S3 GET object" && gets.Add(1) > 2 {
			return &registry.Error{Code: "ServiceUnavailableException"}
		}
		return nil
	})
	d.presigned = time.Second
	d.halfway(account, "https", func() bool { return account.Control.Calls()["S3 GET object"] > 2 },
		func() { account.Control.Fail(nil) })
	d.presigned = 0

	for _, by := range []string{"stream", "https"} {
		before := d.running()
		job, _ := d.fetched(account, by, false)
		e := d.ended(job)
		if e.Status != awsjobs.Failed || !strings.Contains(e.Details["error"], "another file") || d.running() != before {
			t.Errorf("another file by %s: %s %v, and the gateway runs %s", by, e.Status, e.Details, d.running())
		}
	}
	r.settle()
}

// halfway deploys a bundle, restarts the gateway when it is stuck, and checks that what
// had come is not fetched again.
func (d *deployer) halfway(a *accounttest.Account, by string, stuck func() bool, heal func()) {
	d.t.Helper()
	before, began := d.running(), time.Now()
	job, size := d.fetched(a, by, true)
	d.eventually("the file is stuck", time.Minute, stuck)
	d.stop()
	given := d.given(a)
	heal()
	d.eventually("the address has expired", time.Minute, func() bool { return time.Since(began) > 2*d.presigned })
	d.start(d.trusted...)
	e := d.ended(job)
	if runs := d.running(); e.Status != awsjobs.Succeeded || runs == before || runs != e.Details["to"] {
		d.t.Errorf("by %s: %s %v, and the gateway runs %s", by, e.Status, e.Details, runs)
	}
	if came := d.given(a) - given; came == 0 || came > size*3/4 {
		d.t.Errorf("by %s: after the restart %d bytes were given of a file of %d", by, came, size)
	}
}

// given returns how many bytes of files the cloud has sent.
func (d *deployer) given(a *accounttest.Account) int {
	return int(a.Control.Given()) + a.Streams.Counts().Bytes
}

// fetched creates a job for a configuration that is a bundle somewhere else. It returns
// how many bytes that has.
func (d *deployer) fetched(a *accounttest.Account, by string, right bool) (job string, size int) {
	d.t.Helper()
	noise := make([]byte, 240<<10)
	random := rand.NewChaCha8([32]byte{byte(d.serial)})
	_, _ = random.Read(noise) // does not fail
	b := bundle.Bundle{Main: "gateway.yaml", Files: map[string]string{
		"gateway.yaml":     d.next() + "include: [sites/noise.yaml]\n",
		"sites/noise.yaml": "labels: {site: north}\n# " + base64.StdEncoding.EncodeToString(noise) + "\n"}}
	packed, err := b.Pack()
	if err != nil {
		d.t.Fatal(err)
	}
	sum := sha256.Sum256(packed)
	name := hex.EncodeToString(sum[:])
	what, _ := json.Marshal(orders.Deploy{Confirm: setting.Duration(time.Second),
		File: fetch.File{SHA256: name, Size: int64(len(packed))}})
	there := bytes.Clone(packed)
	if !right {
		there[len(there)/2] ^= 1
	}
	a.Control.Put("files", name, there)
	file := fmt.Sprintf(`{"url": "${aws:iot:s3-presigned-url:https://s3.eu-central-1.amazonaws.com/files/%s}"}`, name)
	if by == "stream" {
		file = fmt.Sprintf(`{"stream": "s-%d"}`, d.serial)
		err := a.Streams.Put(streams.Stream{ID: fmt.Sprint("s-", d.serial),
			Files: map[int]streams.Object{0: streams.Bytes(there)}})
		if err != nil {
			d.t.Fatal(err)
		}
	}
	return d.create(what, file), len(packed)
}
