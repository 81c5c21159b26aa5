package signed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/minisign"
	"fieldbridge/needtest"
)

// disk is a state in memory that may fail.
type disk struct {
	data []byte
	fail error
}

func (d *disk) Get(string) ([]byte, error) { return d.data, d.fail }

func (d *disk) Put(_ string, value []byte) error {
	if d.fail == nil {
		d.data = value
	}
	return d.fail
}

func newKey(t testing.TB) minisign.SecretKey {
	t.Helper()
	k, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(of ...minisign.SecretKey) (keys []minisign.PublicKey) {
	for _, k := range of {
		keys = append(keys, k.Public())
	}
	return keys
}

func texts(of ...minisign.SecretKey) (keys []string) {
	for _, k := range of {
		keys = append(keys, k.Public().String())
	}
	return keys
}

// order is one for g that is in force for an hour.
func order(serial uint64) Order {
	now := time.Now()
	return Order{Operation: "config", Targets: Targets{Gateways: []string{"g"}}, Serial: serial,
		NotBefore: now.Add(-time.Minute), Expires: now.Add(time.Hour), What: json.RawMessage(`{"hash":"1"}`)}
}

func list(serial uint64, of ...minisign.SecretKey) List {
	now := time.Now()
	return List{Keys: texts(of...), Serial: serial, NotBefore: now.Add(-time.Minute), Expires: now.Add(time.Hour)}
}

func document(t testing.TB, e *Envelope, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	d, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// doc is an order that is sealed without a list of keys.
func doc(t testing.TB, o Order, by ...minisign.SecretKey) []byte {
	t.Helper()
	e, err := Seal(o, nil, by...)
	return document(t, e, err)
}

func guard(trust Trust, d *disk) *Guard {
	return New(Options{Gateway: "g", Groups: func() []string { return []string{"canary"} }, State: d,
		Trust: func() Trust { return trust }, Synced: func() bool { return true }})
}

// refused checks that a document is refused, for a reason, and that nothing is
// remembered of it.
func refused(t *testing.T, g *Guard, d *disk, job string, document []byte, why string) {
	t.Helper()
	before := slices.Clone(d.data)
	o, err := g.Open(job, document)
	if err == nil || o != nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, %v", why, o, err)
	}
	if !bytes.Equal(before, d.data) {
		t.Errorf("%s: %s is remembered", why, d.data)
	}
}

// TestOrders: who signed, for whom and when.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stranger := newKey(t), newKey(t), newKey(t)
		trust := Trust{Keys: public(a, b)}
		with := func(change func(o *Order)) Order {
			o := order(7)
			change(&o)
			return o
		}
		for name, tt := range map[string]struct {
			document []byte
			why      string
		}{
			"of another": {doc(t, order(7), stranger), "0 of its 1 signatures"},
			"of nobody":  {doc(t, order(7)), "0 of its 0 signatures"},
			"for others": {doc(t, with(func(o *Order) { o.Targets.Gateways[0] = "h" }), a), "for others, not for g"},
			"group of others": {doc(t, with(func(o *Order) { o.Targets = Targets{Groups: []string{"g"}} }), a),
				"for others, not for g"},
			"early":    {doc(t, with(func(o *Order) { o.NotBefore = time.Now().Add(time.Second) }), a), "not yet in force"},
			"late":     {doc(t, with(func(o *Order) { o.Expires = time.Now() }), a), "has expired"},
			"plain":    {[]byte(`{"operation":"config"}`), "is not signed"},
			"no JSON":  {[]byte(`{`), "is not signed"},
			"of later": {[]byte(`{"fieldbridge":2,"payload":""}`), "of kind 2"},
			"large":    {bytes.Repeat([]byte(" "), MaxDocument+1), "bytes"},
		} {
			t.Log(name)
			d := new(disk)
			refused(t, guard(trust, d), d, "j", tt.document, tt.why)
		}
		for name, o := range map[string]Order{
			"by name":  order(7),
			"by group": with(func(o *Order) { o.Targets = Targets{Groups: []string{"x", "canary"}} }),
			"all":      with(func(o *Order) { o.Targets = Targets{All: true} }),
		} {
			got, err := guard(trust, new(disk)).Open("j", doc(t, o, b))
			if err != nil || got.Serial != 7 || string(got.What) != `{"hash":"1"}` {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		for name, change := range map[string]func(o *Order){
			"no operation": func(o *Order) { o.Operation = "" },
			"no targets":   func(o *Order) { o.Targets = Targets{} },
			"no serial":    func(o *Order) { o.Serial = 0 },
			"too large":    func(o *Order) { o.Serial = MaxSerial + 1 },
			"no end":       func(o *Order) { o.Expires = time.Time{} },
			"backwards":    func(o *Order) { o.Expires = o.NotBefore },
			"no name":      func(o *Order) { o.Targets.Groups = []string{""} },
		} {
			if _, err := Seal(with(change), nil, a); err == nil {
				t.Errorf("%s: it was signed", name)
			}
		}
		if _, err := guard(Trust{}, new(disk)).Open("j", doc(t, order(7), a)); !errors.Is(err, ErrNoKeys) {
			t.Errorf("without keys: %v", err)
		}
	})
}

// TestEachByte: an envelope in which any byte of what is signed, or of a signature, is
// another is refused.
func TestEachByte(t *testing.T) {
	a := newKey(t)
	e, err := Seal(order(7), nil, a)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{e.Payload, e.Signatures[0].Sig} {
		for i := range part {
			part[i] ^= 1
			if _, err := guard(Trust{Keys: public(a)}, new(disk)).Open("j", document(t, e, nil)); err == nil {
				t.Errorf("byte %d is not looked at", i)
			}
			part[i] ^= 1
		}
	}
	extra := newKey(t)
	for _, payload := range []string{`{"operation":"config","sudo":true}`, string(e.Payload) + "{}", "7"} {
		bad := &Envelope{Fieldbridge: 1, Payload: []byte(payload),
			Signatures: []Signature{{extra.Public().ID(), extra.SignRaw([]byte(payload))}}}
		d := new(disk)
		refused(t, guard(Trust{Keys: public(extra)}, d), d, "j", document(t, bad, nil), "what is signed cannot be read")
	}
}

// TestReplay: serials grow, for each key, over restarts, whatever the clock says.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newKey(t), newKey(t)
		trust, d := Trust{Keys: public(a, b)}, new(disk)
		first := doc(t, order(7), a)
		open := func(job string, document []byte) {
			t.Helper()
			if _, err := guard(trust, d).Open(job, document); err != nil {
				t.Errorf("%s: %v", job, err)
			}
		}
		open("one", first)
		open("one", first) // a restart
		refused(t, guard(trust, d), d, "two", first, "was replayed")
		other := order(7)
		other.Operation = "update"
		refused(t, guard(trust, d), d, "one", doc(t, other, a), "was replayed")
		refused(t, guard(trust, d), d, "three", doc(t, order(6), a), "was replayed")
		open("four", doc(t, order(3), b)) // each key has its own
		refused(t, guard(trust, d), d, "five", doc(t, order(4), a, b), "was replayed")
		open("six", doc(t, order(8), a, b))
		refused(t, guard(trust, d), d, "seven", doc(t, order(7), b), "was replayed")

		late := order(9)
		late.NotBefore, late.Expires = late.NotBefore.AddDate(-1, 0, 0), late.Expires.AddDate(-1, 0, 0)
		refused(t, guard(trust, d), d, "eight", doc(t, late, a), "has expired")
		unsynced := guard(trust, d)
		unsynced.o.Synced = nil
		if _, err := unsynced.Open("eight", doc(t, late, a)); err != nil {
			t.Errorf("the clock is not right, and was believed: %v", err)
		}
		refused(t, unsynced, d, "nine", doc(t, order(8), a), "was replayed")

		kept := d.data
		d.fail = errors.New("no disk")
		if o, err := guard(trust, d).Open("ten", doc(t, order(10), a)); !errors.Is(err, ErrState) || o != nil {
			t.Errorf("no disk: %v", err)
		}
		d.fail, d.data = nil, kept[:len(kept)/2]
		if _, err := guard(trust, d).Open("ten", doc(t, order(10), a)); !errors.Is(err, ErrState) {
			t.Errorf("a damaged record: %v", err)
		}
	})
}

// TestThreshold: two must be two keys, not one twice.
func TestThreshold(t *testing.T) {
	a, b, stranger := newKey(t), newKey(t), newKey(t)
	trust := Trust{Keys: append(public(a, b), a.Public()), Threshold: 2}
	for _, by := range [][]minisign.SecretKey{{a}, {a, a}, {a, stranger}} {
		d := new(disk)
		refused(t, guard(trust, d), d, "j", doc(t, order(7), by...), "signatures are of keys that this gateway trusts")
	}
	for _, by := range [][]minisign.SecretKey{{a, b}, {stranger, b, a}} {
		if _, err := guard(trust, new(disk)).Open("j", doc(t, order(7), by...)); err != nil {
			t.Error(err)
		}
	}
}

// TestRoots: root keys hand the right to sign on, and take it back.
func TestRoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, old, next, stranger := newKey(t), newKey(t), newKey(t), newKey(t)
		trust, d := Trust{Roots: public(root)}, new(disk)
		with := func(l List, root minisign.SecretKey, o Order, by minisign.SecretKey) []byte {
			t.Helper()
			keys, err := SealList(l, root)
			if err != nil {
				t.Fatal(err)
			}
			e, err := Seal(o, keys, by)
			return document(t, e, err)
		}
		open := func(document []byte) {
			t.Helper()
			if _, err := guard(trust, d).Open("j", document); err != nil {
				t.Error(err)
			}
		}
		g := guard(trust, d)
		refused(t, g, d, "j", doc(t, order(1), old), "signatures are of keys")
		refused(t, g, d, "j", doc(t, order(1), root), "signatures are of keys") // roots sign lists alone
		refused(t, g, d, "j", with(list(1, stranger), stranger, order(1), stranger), "the list of keys: 0 of its 1")
		open(with(list(1, old), root, order(1), old))
		open(with(list(1, old), root, order(2), old))
		open(with(list(2, next), root, order(1), next))
		refused(t, g, d, "j", with(list(1, old), root, order(3), old), "the list of keys is old")
		refused(t, g, d, "j", with(list(2, old), root, order(3), old), "the list of keys is old")
		refused(t, g, d, "j", with(list(3), root, order(4), next), "signatures are of keys")
		late := list(4, next)
		late.Expires = time.Now()
		refused(t, g, d, "j", with(late, root, order(4), next), "the list of keys has expired")
		deep, err := SealList(list(5, next), root)
		if err != nil {
			t.Fatal(err)
		}
		deep.Keys, _ = SealList(list(5, next), root)
		e, err := Seal(order(5), deep, next)
		refused(t, g, d, "j", document(t, e, err), "has no list of keys in it")
	})
}

// TestForget: keys that come and go do not fill the disk, and the newest are known.
func TestForget(t *testing.T) {
	r := record{Keys: map[string]seen{}}
	a := newKey(t)
	r.Keys[name(a.Public())] = seen{Serial: 1}
	for i := range uint64(3 * mostForeign) {
		r.Keys[name(newKey(t).Public())] = seen{Serial: i + 1}
	}
	r.forget(public(a))
	if _, ok := r.Keys[name(a.Public())]; !ok || len(r.Keys) != mostForeign+1 {
		t.Errorf("%d keys, the trusted one: %t", len(r.Keys), ok)
	}
	for key, s := range r.Keys {
		if key != name(a.Public()) && s.Serial <= 2*mostForeign {
			t.Errorf("serial %d is kept, and a newer one is not", s.Serial)
		}
	}
}

// TestMinisign: what minisign has signed by itself is taken.
func TestMinisign(t *testing.T) {
	if _, err := exec.LookPath("minisign"); err != nil {
		needtest.Missing(t, "minisign is not installed")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("minisign", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("minisign %v: %v\n%s", args, err, out)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	payload, err := json.Marshal(order(7))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "order"), payload, 0o600); err != nil {
		t.Fatal(err)
	}
	run("-G", "-W", "-p", "its.pub", "-s", "its.key")
	run("-S", "-l", "-s", "its.key", "-m", "order")
	key, err := minisign.ParsePublicKey(read("its.pub"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := base64.StdEncoding.DecodeString(strings.Split(read("order.minisig"), "\n")[1])
	if err != nil {
		t.Fatal(err)
	}
	e := &Envelope{Fieldbridge: 1, Payload: payload, Signatures: []Signature{{key.ID(), body[10:]}}}
	if _, err := guard(Trust{Keys: []minisign.PublicKey{key}}, new(disk)).Open("j", document(t, e, nil)); err != nil {
		t.Error(err)
	}
}

// FuzzOpen: no document makes a guard trust a stranger or panic, and what is signed
// and read means what it says; it is taken no second time from another job.
func FuzzOpen(f *testing.F) {
	a, root, stranger := newKey(f), newKey(f), newKey(f)
	others := public(newKey(f), newKey(f))
	keys, err := SealList(list(1, a), root)
	if err != nil {
		f.Fatal(err)
	}
	e, err := Seal(order(2), keys, a)
	f.Add(document(f, e, err), e.Payload)
	f.Add(doc(f, order(1), a), []byte(`{"operation":"x","targets":{"all":true},"serial":1}`))
	f.Add(doc(f, order(1), stranger), keys.Payload)
	f.Add([]byte(`{"fieldbridge":1,"keys":{"fieldbridge":1,"keys":{}}}`), []byte(`{}{}`))
	f.Fuzz(func(t *testing.T, document, payload []byte) {
		d := new(disk)
		if o, err := guard(Trust{Keys: others[:1], Roots: others[1:]}, d).Open("j", document); err == nil {
			t.Fatalf("forged: %+v", o)
		}
		e := &Envelope{Fieldbridge: 1, Payload: payload, Signatures: []Signature{{a.Public().ID(), a.SignRaw(payload)}}}
		signed, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		g := guard(Trust{Keys: public(a), Roots: public(root)}, d)
		g.o.Synced = nil
		o, err := g.Open("j", signed)
		switch {
		case err != nil && d.data != nil:
			t.Fatal("a refused order is remembered")
		case err != nil:
			return
		case o.check() != nil || !o.Targets.All && !slices.Contains(o.Targets.Gateways, "g") &&
			!slices.Contains(o.Targets.Groups, "canary"):
			t.Fatalf("taken: %+v", o)
		}
		if _, err := g.Open("k", signed); err == nil {
			t.Fatal("replayed")
		}
	})
}
