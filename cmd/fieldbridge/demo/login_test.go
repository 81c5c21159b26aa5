package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"fieldbridge/password"
)

// ready is that the page asks who is there, and the browser has the cursor there.
const ready = `document.readyState === "complete" && document.activeElement.name === "user"`

// TestPageLogin logs in and out with a real browser, also after the gateway was
// restarted under an open page.
func TestPageLogin(t *testing.T) {
	t.Parallel() // it mostly waits
	b, r := newBrowser(t, ""), newRun(t)
	b.home = "http://" + r.console + "/"
	hash, err := password.New([]byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "people"), []byte("ann:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	old := `console: {listen: "` + r.console + `"`
	if err := os.WriteFile(r.file, []byte(strings.Replace(string(text), old, old+", password_file: people", 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	b.away(true) // a browser tells of each answer 401
	b.open("device/boiler")
	b.has("Log in", "User", "Password")
	if strings.Contains(tell[string](b, "document.documentElement.outerHTML"), "supply_temp") {
		t.Error("a stranger sees values")
	}
	b.fits(390)
	b.shot("login-phone", 390)
	b.until("asked", ready)
	b.do(chromedp.KeyEvent("ann\t"), chromedp.KeyEvent("wrong\r"))
	b.until("refused", `document.body.innerText.includes("is wrong")`)
	b.until("asked again", ready)
	b.do(chromedp.KeyEvent("ann\t"), chromedp.KeyEvent("open sesame\r"))
	b.until("let in", `document.getElementById("state") !== null`)
	b.away(false)
	b.has("ann", "Log out", "boiler", "supply_temp")
	if at := tell[string](b, "location.pathname"); at != "/device/boiler" {
		t.Errorf("let in to %s", at)
	}
	b.fits(1280)
	b.clean()
	b.away(true)
	r.stop()
	b.until("gone", `document.body.className === "stale"`)
	r.start()
	b.until("asked again", ready)
	b.do(chromedp.KeyEvent("ann\t"), chromedp.KeyEvent("open sesame\r"))
	b.until("let in again, to the end of the page", `document.readyState === "complete" &&
		document.querySelector("footer button") !== null`)
	// In one script: the page may draw the button anew between finding and pressing it.
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("footer button").click()`))
	b.until("logged out", `document.getElementById("login") !== null`)
	r.stop()
}
