package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// nightRules are what the plant of the night call is read with.
const nightRules = `gateway: night
console: {listen: "127.0.0.1:0"}
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/night.pem,
    private_key: certs/night.key, ca: "%s", topic: t, status_topic: t/status, linger: 100ms}}
southbound: {mqtt: {
    brokers: {local: {listen: "127.0.0.1:0", anonymous: true, users: {ovens: {password_file: password}}}},
    sensors: {
      hall: {broker: local, topic: "hall/{device}/{point}", expect: 2s},
      cells: {broker: local, topic: "cells/{device}", points: {t: {path: t}, battery: {path: b}}, expect: 2s},
      zigbee: {broker: local, topic: "zigbee/{device}", points: {t: {path: t}}, expect: 2s},
      loggers: {broker: local, topic: "loggers/{device}", points: {t: {path: t}}, time: {path: at}, expect: 2s},
      line: {broker: local, topic: "line/#", device: line, point: any},
      line7: {broker: local, topic: "line/press-7/{point}", device: press-7, expect: 2s}}}}
`

// nightSensor is a client that publishes twice a second, for one device or several.
type nightSensor struct {
	mu       sync.Mutex
	user     string             // guarded by mu
	password string             // guarded by mu
	dead     bool               // guarded by mu
	says     func() [][2]string // guarded by mu; topics and payloads
}

// set changes what a sensor does.
func (s *nightSensor) set(change func(*nightSensor)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// run publishes until ctx ends, over a new connection each time: so each password is
// asked for.
func (s *nightSensor) run(ctx context.Context, id string, addr func() string) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.mu.Lock()
		user, password, dead, says := s.user, s.password, s.dead, s.says
		s.mu.Unlock()
		if !dead {
			publishOnce(addr(), id, user, password, says())
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func publishOnce(addr, id, user, password string, says [][2]string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	flags, credentials := byte(0x02), []byte(nil)
	if user != "" {
		flags, credentials = 0xc2, append(rig.String(user), rig.String(password)...)
	}
	b := append(append(rig.String("MQTT"), 4, flags, 0, 60), rig.String(id)...)
	b = append(b, credentials...)
	packet := append([]byte{0x10, byte(len(b))}, b...)
	if _, err := conn.Write(packet); err != nil {
		return
	}
	connack := make([]byte, 4)
	if _, err := io.ReadFull(conn, connack); err != nil || connack[3] != 0 {
		return
	}
	for _, m := range says {
		body := append(rig.String(m[0]), m[1]...)
		if _, err := conn.Write(append([]byte{0x30, byte(len(body))}, body...)); err != nil {
			return
		}
	}
	_, _ = conn.Write([]byte{0xe0, 0})
	_, _ = conn.Read(connack) // until it has been read
}

// nightCauses are what a person must be able to say from a sentence alone.
var nightCauses = []struct{ cause, words, device string }{
	{"battery", "battery 3", "cell-1"},
	{"moved topic", "the topic has moved", "press-2"},
	{"wrong password", "password", "oven-3"},
	{"gateway of the sensors", "the gateway of these sensors", "lamp-4"},
	{"payload", "payload has changed", "pump-5"},
	{"clock", "its clock is wrong", "logger-6"},
	{"rule in the shadow", "rule line stands before", "press-7"},
	{"restarted meanwhile", "before the last start of the gateway", "tank-8"},
}

// restarted is the last of the causes, which is one if there is no other.
const restarted = 7

// blamed returns the cause and the device that a sentence names, among all devices;
// "" if it names none, or several causes.
func blamed(sentence string, devices []string) (cause, device string) {
	for i, c := range nightCauses {
		if strings.Contains(sentence, c.words) {
			if i == restarted && cause != "" {
				continue // it says when, the other says why
			}
			if cause != "" {
				return "", ""
			}
			cause, device = c.cause, ""
			words := strings.FieldsFunc(sentence, func(r rune) bool {
				return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
			})
			for _, d := range devices {
				if (device == "" || d == c.device) && slices.Contains(words, d) {
					device = d
				}
			}
		}
	}
	return cause, device
}

// TestNightCall: of forty devices over MQTT eight have something, each something
// else. Within expect and ten seconds one sentence names cause and device, in the
// status, on the page and on the status topic, each by itself.
func TestNightCall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	var topic []string // the sentences of the last message about health
	cloud, err := awsiottest.Start(
		awsiottest.Options{Dir: filepath.Join(dir, "certs"), OnPublish: func(m awsiottest.Message) {
			var health struct {
				Type       string
				Conditions []struct{ Subject, Text string }
			}
			if m.Topic != "t/status" || json.Unmarshal(m.Payload, &health) != nil || health.Type != "health" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			topic = nil
			for _, c := range health.Conditions {
				topic = append(topic, c.Subject+": "+c.Text)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	if _, err := cloud.Device("night"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "g.yaml")
	for name, text := range map[string]string{"g.yaml": fmt.Sprintf(nightRules, cloud.Addr(), cloud.CA()),
		"password": "right\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var gmu sync.Mutex
	g := startGateway(t, file, io.Discard)
	addr := func() string {
		gmu.Lock()
		defer gmu.Unlock()
		if a := g.Broker("local"); a != nil {
			return a.String()
		}
		return "127.0.0.1:1"
	}

	one := func(topic, payload string) func() [][2]string {
		return func() [][2]string { return [][2]string{{topic, payload}} }
	}
	sensors := map[string]*nightSensor{
		"cell-1":  {says: one("cells/cell-1", `{"t":4,"b":3}`)},
		"press-2": {says: one("hall/press-2/p", "6.1")},
		"oven-3":  {says: one("hall/oven-3/t", "180"), user: "ovens", password: "right"},
		"pump-5":  {says: one("hall/pump-5/rpm", "1480")},
		"logger-6": {says: func() [][2]string {
			return [][2]string{{"loggers/logger-6", fmt.Sprintf(`{"at":%q,"t":1}`, time.Now().UTC().Format(time.RFC3339))}}
		}},
		"press-7": {says: one("line/press-7/p", "6.2")},
		"tank-8":  {says: one("hall/tank-8/level", "77")},
	}
	devices := slices.Collect(func(yield func(string) bool) {
		for name := range sensors {
			_ = yield(name)
		}
	})
	lamps := &nightSensor{says: func() (all [][2]string) {
		for i := range 6 {
			all = append(all, [2]string{fmt.Sprint("zigbee/lamp-", i), `{"t":20}`})
		}
		return all
	}}
	for i := range 6 {
		devices = append(devices, fmt.Sprint("lamp-", i))
	}
	for i := len(devices); i < 40; i++ {
		name := fmt.Sprint("fine-", i)
		sensors[name] = &nightSensor{says: one("hall/"+name+"/t", "21")}
		devices = append(devices, name)
	}
	sensors["zigbee-stick"] = lamps
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for id, s := range sensors {
		running.Go(func() { s.run(ctx, id, addr) })
	}
	eventually(t, "all but one device are well", 60*time.Second, func() bool {
		gmu.Lock()
		defer gmu.Unlock()
		s := g.Status()
		// 39 devices, one called line, and the one in its shadow.
		return s.Link.Connected && len(s.Devices) >= 40 && goodPoints(s) >= 40 && len(s.Conditions) == 1
	})

	for _, name := range []string{"cell-1", "tank-8"} {
		sensors[name].set(func(s *nightSensor) { s.dead = true })
	}
	lamps.set(func(s *nightSensor) { s.dead = true })
	sensors["press-2"].set(func(s *nightSensor) { s.says = one("works/press-2/p", "6.1") })
	sensors["oven-3"].set(func(s *nightSensor) { s.password = "wrong" })
	sensors["pump-5"].set(func(s *nightSensor) { s.says = one("hall/pump-5/rpm", `{"rpm":1480}`) })
	sensors["logger-6"].set(func(s *nightSensor) {
		s.says = one("loggers/logger-6",
			`{"at":"1970-01-01T00:00:07Z","t":1}`)
	})
	check := func(within time.Duration, causes ...int) {
		t.Helper()
		views := map[string]func() []string{
			"status": func() []string {
				_, out, _ := call(t, "status", filepath.Join(dir, "queue"))
				return strings.Split(out, "\n")
			},
			"page": func() []string { return pageSentences(t, g.Page()) },
			"status topic": func() []string {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(topic)
			},
		}
		begin := time.Now()
		for name, view := range views {
			for _, i := range causes {
				want := nightCauses[i]
				var last []string
				eventuallyBy(t, begin.Add(busy*within), func() bool {
					last = view()
					return slices.ContainsFunc(last, func(sentence string) bool {
						cause, device := blamed(sentence, devices)
						return cause == want.cause && device == want.device
					})
				}, func() {
					t.Errorf("%s says nothing of %s of %s:\n%s", name, want.cause, want.device, strings.Join(last, "\n"))
				})
			}
			for _, sentence := range view() {
				if cause, _ := blamed(sentence, devices); cause != "" && strings.Contains(sentence, "fine-") {
					t.Errorf("%s: a device that is well: %s", name, sentence)
				}
			}
		}
		t.Logf("after %v on the status topic:\n%s", time.Since(begin), strings.Join(views["status topic"](), "\n"))
	}
	check(12*time.Second, 0, 1, 2, 3, 4, 5, 6)

	// Everything is restarted meanwhile.
	gmu.Lock()
	g.stop()
	g = startGateway(t, file, io.Discard)
	gmu.Unlock()
	check(12*time.Second, 1, 2, 3, 4, 5, 6, 7)
}

// TestValuesOfTheUnheard: who is remembered and was not heard since the start is among the
// values, and hides nobody's.
func TestValuesOfTheUnheard(t *testing.T) {
	dir := t.TempDir()
	file, queue := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "queue")
	if err := os.WriteFile(file, []byte(`gateway: night
northbound: {awsiot: {endpoint: "127.0.0.1:1", certificate: none.pem, private_key: none.key, topic: t}}
southbound: {mqtt: {brokers: {local: {listen: "127.0.0.1:0"}},
    sensors: {hall: {broker: local, topic: "hall/{device}", point: t}}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	hears := func(g *runningGateway, device string) {
		eventually(t, "it listens", 10*time.Second, func() bool { return g.Broker("local") != nil })
		publishOnce(g.Broker("local").String(), device, "", "", [][2]string{{"hall/" + device, "21.5"}})
		eventually(t, "it is heard", 10*time.Second, func() bool {
			_, out, _ := call(t, "values", device, queue, "--wait", "100ms")
			return strings.Contains(out, "21.5")
		})
	}
	g := startGateway(t, file, io.Discard)
	hears(g, "tank")
	g.stop()
	g = startGateway(t, file, io.Discard)
	hears(g, "oven")
	code, out, said := call(t, "values", queue)
	if code != exitDone || !strings.Contains(out, "21.5") ||
		!regexp.MustCompile(`(?m)^tank +- +nothing since the start$`).MatchString(out) {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
	g.stop()
}

// eventuallyBy waits for ok until end, and asks once at the least, or does otherwise.
func eventuallyBy(t *testing.T, end time.Time, ok func() bool, otherwise func()) {
	t.Helper()
	for !ok() {
		if time.Now().After(end) {
			otherwise()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var (
	block   = regexp.MustCompile(`(?i)</?(li|tr|p|div|h\d|section|ul|table|details)\b[^>]*>`)
	element = regexp.MustCompile(`<[^>]*>`)
)

// pageSentences returns the texts of the page, one a line of HTML's blocks.
func pageSentences(t *testing.T, url string) []string {
	res, err := http.Get(url)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil
	}
	text := block.ReplaceAllString(string(body), "\x00")
	text = element.ReplaceAllString(text, " ")
	var all []string
	for _, s := range strings.Split(text, "\x00") {
		if s = strings.Join(strings.Fields(html.UnescapeString(s)), " "); s != "" {
			all = append(all, s)
		}
	}
	return all
}
