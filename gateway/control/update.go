package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fieldbridge/release"
)

// Update says what to do with the releases of the program beside the packaged one.
type Update struct {
	Step UpdateStep `json:"step"`
	// Dir holds, for an installation, what [release.Folder] keeps of a release, where the
	// gateway's user can read it.
	Dir string `json:"dir,omitempty"`
	// Within is how long the release has to prove itself, 0 for as is configured.
	Within time.Duration `json:"within_ns,omitempty"`
}

// UpdateStep is what is done. Each returns how the releases stand then.
type UpdateStep string

// The steps.
const (
	UpdateStatus   UpdateStep = "status"
	UpdateInstall  UpdateStep = "install"
	UpdateCommit   UpdateStep = "commit"
	UpdateRollback UpdateStep = "rollback"
)

// UpdatePage is answered before an installation or a rollback ends the process.
const UpdatePage Page[Update, Releases] = "/update"

// Releases are those of a gateway.
type Releases struct {
	Running  string `json:"running,omitempty"` // the release that runs, "" for the packaged program
	Packaged string `json:"packaged"`          // the version of the packaged program
	Proving  *Trial `json:"proving,omitempty"` // nil unless the program that runs is on trial
	release.Slots
}

// Trial is the program that runs, while it must prove itself.
type Trial struct {
	Version  string    `json:"version"`
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"` // how often it was started
	// Until is when it is given up, or Kept, if it stays so; zero before it is ready.
	Until   time.Time `json:"until,omitzero"`
	Missing []string  `json:"missing,omitempty"` // what is not as it was before, for people
	Kept    bool      `json:"kept,omitempty"`    // the link alone is missing, which was down before, too
}

// Sentence tells it to a person, at a time.
func (t *Trial) Sentence(now time.Time) string {
	text := fmt.Sprintf("%s on trial for %s", t.Version, now.Sub(t.Since).Round(time.Second))
	if t.Attempts > 1 {
		text += fmt.Sprintf(", started %d times", t.Attempts)
	}
	switch {
	case t.Until.IsZero():
		return text + ", not ready yet"
	case len(t.Missing) == 0:
		return text + ", all is as before so far"
	}
	end := "given up"
	if t.Kept {
		end = "kept, as the link was down before it, too,"
	}
	return fmt.Sprintf("%s, %s in %s if this stays so: %s", text, end, max(t.Until.Sub(now), 0).Round(time.Second),
		strings.Join(t.Missing, "; "))
}

// Updater is the gateway, to an update.
type Updater interface {
	// Try puts a staged release on trial, and stops the gateway for it.
	Try(version string, within time.Duration) error
	// Leave stops the gateway, so that the release that is to run takes over.
	Leave()
}

// Do takes the step.
func (u Update) Do(f *release.Folder, g Updater) (r Releases, err error) {
	if f == nil {
		return r, errors.New("no releases are kept here: the service manager names no folder for them ($STATE_DIRECTORY)")
	}
	switch u.Step {
	case UpdateStatus:
	case UpdateInstall:
		err = u.install(f, g)
	case UpdateCommit:
		err = f.Commit(f.Runs())
	case UpdateRollback:
		var left string
		if left, err = f.Rollback("rolled back by hand"); err == nil && left == f.Runs() {
			defer g.Leave()
		}
	default:
		return r, fmt.Errorf("%q is none of status, install, commit and rollback", u.Step)
	}
	if err != nil {
		return r, err
	}
	r = Releases{Running: f.Running, Packaged: f.Packaged}
	r.Slots, err = f.Slots()
	return r, err
}

// install stages the release in u.Dir and puts it on trial.
func (u Update) install(f *release.Folder, g Updater) error {
	if u.Within < 0 {
		return errors.New("a release cannot prove itself in less than no time")
	}
	var texts [2][]byte
	for i, name := range []string{release.ManifestFile, release.SignatureFile} {
		text, err := os.ReadFile(filepath.Join(u.Dir, name))
		if err != nil {
			return fmt.Errorf("the gateway cannot read the release: %w", err)
		}
		texts[i] = text
	}
	program, err := os.Open(filepath.Join(u.Dir, release.Program))
	if err != nil {
		return fmt.Errorf("the gateway cannot read the release: %w", err)
	}
	defer func() { _ = program.Close() }()
	m, err := f.Stage(texts[0], string(texts[1]), program)
	if err != nil {
		return err
	}
	return g.Try(m.Version, u.Within)
}
