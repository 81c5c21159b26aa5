package demo

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// built is the folder in which the program is; TestMain removes it.
var built string

// program returns the path of the program, which is built once for all tests.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "fieldbridge")
	return path, needtest.Build(path, "fieldbridge/cmd/fieldbridge")
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "fieldbridge-demo"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// run is the real program with the demo's field and the stand-in cloud.
type run struct {
	t             *testing.T
	dir, program  string
	file          string
	console, mqtt string // addresses
	field         *plant
	cloud         *awsiottest.Cloud
	process       *exec.Cmd
	log           *bytes.Buffer
}

// newRun starts field and cloud; the gateway is started by start.
func newRun(t *testing.T) *run {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &run{t: t, dir: dir, program: path, file: filepath.Join(dir, "demo.yaml"), console: needtest.Address(t),
		mqtt: needtest.Address(t)}
	if r.cloud, err = awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"),
		Listen: needtest.Address(t)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cloud.Close() })
	if _, err := r.cloud.Device(gatewayName); err != nil {
		t.Fatal(err)
	}
	if r.field, err = newPlant(needtest.Address(t)); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(configText, r.cloud.Addr(), r.field.address)
	text = strings.Replace(text, `local: {listen: "127.0.0.1:0"}`, `local: {listen: "`+r.mqtt+`"}`, 1)
	text = strings.Replace(text, `console: {listen: "127.0.0.1:0"}`, `console: {listen: "`+r.console+`"}`, 1)
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.field.run(ctx, func() string { return r.mqtt }) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// start starts the gateway and waits for its console.
func (r *run) start() {
	r.t.Helper()
	r.log = new(bytes.Buffer)
	r.process = exec.Command(r.program, "run", r.file)
	r.process.Stderr, r.process.Dir = r.log, r.dir
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	p := r.process
	r.t.Cleanup(func() { _ = p.Process.Kill() })
	for deadline := time.Now().Add(busy); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", r.console); err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			_ = r.process.Process.Kill()
			_ = r.process.Wait()
			r.t.Fatalf("no console: %s", r.log)
		}
	}
}

func (r *run) stop() {
	r.t.Helper()
	_ = r.process.Process.Signal(syscall.SIGTERM)
	if err := r.process.Wait(); err != nil {
		r.t.Fatalf("stopped: %v: %s", err, r.log)
	}
}

// does runs a command of the program.
func (r *run) does(args ...string) {
	r.t.Helper()
	c := exec.Command(r.program, args...)
	c.Dir = r.dir
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// busy is how long a step may take on a busy machine before it counts as hanging.
const busy = 2 * time.Minute

// nobody is the page of a device that is not there: a browser tells of each answer 404,
// and the page asks again.
const nobody = "device/nobody"

// browser is a tab of a real browser, which notes what should not be.
type browser struct {
	t    *testing.T
	ctx  context.Context
	home string

	mu       sync.Mutex
	quiet    bool     // guarded by mu; the gateway is away: its requests fail
	problems []string // guarded by mu
}

func newBrowser(t *testing.T, home string) *browser {
	t.Helper()
	// Its processes write there for a moment after its end, which no TempDir bears.
	data, err := os.MkdirTemp(built, "chromium")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(needtest.Program(t, "chromium")),
		chromedp.NoSandbox, chromedp.UserDataDir(data), chromedp.WSURLReadTimeout(busy))
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(end)
	b := &browser{t: t, ctx: ctx, home: home}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

// hear notes errors of the console and requests to another host.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprint("console: ", e.Type))
	case *log.EventEntryAdded:
		if !b.quiet && !strings.HasSuffix(e.Entry.URL, "/"+nobody) {
			b.problems = append(b.problems, "log: "+e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil ||
			u.Host != strings.Trim(strings.TrimPrefix(b.home, "http:"), "/") {
			b.problems = append(b.problems, "request to "+e.Request.URL)
		}
	}
}

// away says that the gateway is away, or back: then failed requests are none of the
// page's mistakes.
func (b *browser) away(is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quiet = is
}

// clean fails the test if something was noted.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Error(p)
	}
	b.problems = nil
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, busy)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) open(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.home + path)) }

// tell returns what a script says of the page.
func tell[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, busy)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// until waits until a script is true of the page. While the browser goes to another
// page there is nothing to ask: that is not true yet.
func (b *browser) until(what, script string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, busy)
	defer cancel()
	for deadline := time.Now().Add(busy - 20*time.Second); ; time.Sleep(100 * time.Millisecond) {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		if err == nil && is {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("never: %s (%s, %v)\n%s", what, script, err, tell[string](b, "document.body.innerText"))
		}
	}
}

// has waits until the page's text has all of those. What is out of sight is laid out
// late (content-visibility), and is no text until then.
func (b *browser) has(texts ...string) {
	b.t.Helper()
	for _, want := range texts {
		b.until("the page says "+want, fmt.Sprintf("document.body.innerText.includes(%q)", want))
	}
}

// fits fails the test unless everything is within the window's width, and nothing
// covers anything else of the same list.
func (b *browser) fits(width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	wide := tell[string](b, `[...document.querySelectorAll("body *")].filter(e => { const r = e.getBoundingClientRect();
		return !e.closest(".unseen") && (r.right > innerWidth + 1 || r.left < -1) && r.width > 0; })
		.map(e => e.nodeName + " " + e.className + " " + e.textContent.slice(0, 40)).join("\n")`)
	if wide != "" || tell[bool](b, "document.documentElement.scrollWidth > innerWidth") {
		b.t.Errorf("at %d px beyond the edge: %s", width, wide)
	}
	over := tell[string](b, `[...document.querySelectorAll("main, #devices, tr, .lines li, #facts")].flatMap(p => {
		const all = [...p.children].map(e => [e, e.getBoundingClientRect()]).filter(([e, r]) => r.width > 1 && r.height > 1);
		return all.filter(([e, r], i) => i > 0 && r.top < all[i-1][1].bottom - 1.5 && r.left < all[i-1][1].right - 1.5 &&
			r.bottom > all[i-1][1].top + 1.5 && r.right > all[i-1][1].left + 1.5).map(([e]) => e.outerHTML.slice(0, 80));
	}).join("\n")`)
	if over != "" {
		b.t.Errorf("at %d px one covers another: %s", width, over)
	}
}
