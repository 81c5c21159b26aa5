package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/minisign"
	"fieldbridge/signed"
)

// newkey makes a pair and returns its name and the public key.
func (a *fleetAccount) newkey(name string) (string, minisign.PublicKey) {
	a.Helper()
	name = filepath.Join(a.dir, name)
	code, out, _ := a.run("newkey", name)
	key, err := minisign.ParsePublicKey(out)
	if code != exitDone || err != nil {
		a.Fatalf("no key was made: %v", err)
	}
	return name, key
}

// trusted is a gateway that trusts.
func trusted(gateway string, trust signed.Trust) *signed.Guard {
	return signed.New(signed.Options{Gateway: gateway, State: memory{}, Synced: func() bool { return true },
		Trust: func() signed.Trust { return trust }})
}

// TestNewkey: a pair belongs together, only its owner reads the secret half, and none is
// ever overwritten.
func TestNewkey(t *testing.T) {
	a := newAccount(t)
	name, public := a.newkey("one")
	if key := a.key("one.key"); key.Public().String() != public.String() {
		t.Error("they are no pair")
	}
	if info, err := os.Stat(name + ".key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(name + ".pub"); err != nil || !strings.Contains(string(text), public.String()) {
		t.Errorf("%s, %v", text, err)
	}
	if code, _, _ := a.run("newkey", name); code != exitUsage || a.key("one.key").Public().String() != public.String() {
		t.Error("it was overwritten")
	}
	if err := os.Remove(name + ".key"); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := a.run("newkey", name); code != exitUsage {
		t.Error("a .pub was overwritten")
	}
	if _, err := os.Stat(name + ".key"); err == nil {
		t.Error("half a pair was left")
	}
}

// TestKeys: root keys, two of them by two people, say whose orders are taken; a later
// list takes a key back.
func TestKeys(t *testing.T) {
	a := newAccount(t)
	root1, one := a.newkey("root1")
	root2, two := a.newkey("root2")
	signing, _ := a.newkey("signing1")
	second, _ := a.newkey("signing2")
	gateway := trusted("g1", signed.Trust{Roots: []minisign.PublicKey{one, two}, Threshold: 2})
	list := func(public ...string) string {
		code, out, _ := a.run(append([]string{"keys", "--key", root1 + ".key"}, public...)...)
		half := a.write("half.json", out)
		code2, out, told := a.run("cosign", half, "--key", root2+".key")
		if code != exitDone || code2 != exitDone || !strings.Contains(told, "these keys sign orders until ") {
			t.Fatal("no list was made")
		}
		return a.write("keys.json", out)
	}
	order := func(list string) string {
		code, out, _ := a.run("sign", "restart", "--gateway", "g1", "--keys", list, "--key", signing+".key")
		half := a.write("order.json", out)
		code2, out, told := a.run("cosign", half, "--key", second+".key")
		if code != exitDone || code2 != exitDone || !strings.HasPrefix(told, "restart until ") ||
			!strings.Contains(told, " for g1") {
			t.Fatal("no order was signed")
		}
		return out
	}
	both := list(signing+".pub", second+".pub")
	if _, err := gateway.Open("1", []byte(order(both))); err != nil {
		t.Error(err)
	}
	half, err := os.ReadFile(filepath.Join(a.dir, "order.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.Open("2", half); err == nil {
		t.Error("one signature of two is enough")
	}
	if _, err := gateway.Open("3", []byte(order(list(signing+".pub")))); err == nil {
		t.Error("a key that was taken back signs")
	}
	if code, _, _ := a.run("keys", "no-such.pub", "--key", root1+".key"); code != exitUsage {
		t.Error("a key that is not there is listed")
	}
}

// TestTwoPeople: orders that one person prepared and another signed, too, are rolled
// out; what was not prepared, or says something else, is not.
func TestTwoPeople(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	second, public := a.newkey("second")
	a.trust(signed.Trust{Keys: []minisign.PublicKey{a.key("signing.key").Public(), public}, Threshold: 2})
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	a.gateways()
	if code, _, told := a.deploy(); code != exitStopped || !strings.Contains(told, "1 of its 1 signatures") {
		t.Error("one signature is enough")
	}
	a.write("fleet.yaml", strings.ReplaceAll(fleetText, "site:", "zone:"))
	orders := filepath.Join(a.dir, "orders.json")
	before := len(a.Jobs.All())
	if code, _, _ := a.deploy("--prepare", orders); code != exitDone || len(a.Jobs.All()) != before {
		t.Fatal("it was not prepared, or more than that")
	}
	code, out, told := a.run("cosign", orders, "--key", second+".key")
	if code != exitDone || strings.Count(told, "config until ") != 2 || !strings.Contains(told, " for g2, g3: ") {
		t.Fatal("it was not signed, or nobody knows what")
	}
	again := a.write("both.json", out)
	if code, twice, _ := a.run("cosign", again, "--key", second+".key"); code != exitDone || !sameJSON(twice, out) {
		t.Error("the same signature stands there twice")
	}
	rollOut := func(orders string, more ...string) int {
		code, _, _ := a.run(append([]string{"deploy", a.file, "--group", "canary", "--then", "rest", "--bucket", "files",
			"--orders", orders}, more...)...)
		return code
	}
	if rollOut(again, "--confirm", "6m") != exitUsage || rollOut(a.write("none.json", "{}")) != exitUsage ||
		rollOut(again, "--key", "x") != exitUsage || len(a.Jobs.All()) != before {
		t.Error("what was not signed is rolled out")
	}
	if rollOut(again) != exitDone {
		t.Error("what both have signed is not rolled out")
	}
}

func sameJSON(a, b string) bool {
	var x, y json.RawMessage
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return string(x) == string(y)
}
