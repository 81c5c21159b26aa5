package orders

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bundle"
	"fieldbridge/gateway/change"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/setting"
)

// Config gives the gateway another configuration.
type Config struct {
	Dir     string // a folder of the gateway's own; deployed configurations are kept in it
	Changer Changer
	Layer   Layer
	// Overwrite reports whether local edits are overwritten.
	Overwrite func() bool
	// Usual is closed when the gateway is as it usually is, which is what a configuration
	// on trial is measured by.
	Usual <-chan struct{}
}

// Changer is what is needed of the gateway's configuration; [change.Changer] has it.
type Changer interface {
	Status() change.Status
	Deploy(ctx context.Context, d change.Deployment) error
}

// Layer lays the files of a configuration in a folder.
type Layer interface {
	// Lay returns the file to begin with, which is in dir. What will never be right is
	// marked by [bridge.Permanent]. A folder that is there is of an attempt that was
	// cut.
	Lay(ctx context.Context, j *jobs.Job, dir string, percent func(int)) (file string, err error)
}

// Deploy is what a signed order config says.
type Deploy struct {
	Hash    string           `json:"hash,omitempty"`    // of the configuration, as the catalogue tells it
	Confirm setting.Duration `json:"confirm,omitempty"` // how long it is on trial, 1s to 1h; 5m unless said
	// YAML is the whole configuration in one file, gzip.
	YAML []byte `json:"yaml,omitempty"`
	// File is a bundle, where the configuration does not stand in the order: the
	// document says beside what is signed where it comes from.
	fetch.File
}

const (
	usualConfirm = 5 * time.Minute
	// maxYAML is the most bytes of a configuration, unpacked.
	maxYAML = 8 << 20
	onTrial = "trial"
)

var hashes = regexp.MustCompile(`^[0-9a-f]{16}$`)

// read reads the order.
func (c Config) read(j *jobs.Job) (d Deploy, err error) {
	if err := json.Unmarshal(j.What, &d); err != nil {
		return d, fmt.Errorf("what to deploy cannot be read: %w", err)
	}
	if d.Hash == "" && d.SHA256 == "" {
		return d, errors.New("the order names neither hash nor sha256 of a configuration")
	}
	if d.Hash != "" && !hashes.MatchString(d.Hash) {
		return d, fmt.Errorf("%q is no hash of a configuration: 16 hexadecimal digits are", d.Hash)
	}
	if d.Confirm == 0 {
		d.Confirm = setting.Duration(usualConfirm)
	}
	if d.Confirm.D() < time.Second || d.Confirm.D() > time.Hour {
		return d, fmt.Errorf("confirm is %v: 1s to 1h are allowed", d.Confirm.D())
	}
	return d, nil
}

// Do implements [jobs.Operation]. What was cut while it was on trial is taken back: the
// gateway started with what ran before.
func (c Config) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	d, err := c.read(j)
	if err != nil {
		return jobs.Refuse(err)
	}
	step, note := j.Noted()
	now := c.Changer.Status()
	details := map[string]string{"from": now.Hash, "to": d.Hash}
	if step == onTrial {
		_ = json.Unmarshal(note, &details) // we wrote it
	}
	switch {
	case now.Hash == details["to"] && now.OnTrial.IsZero():
		return jobs.Done(details)
	case step == onTrial:
		return rolledBack(details, errors.New("the gateway ended while the configuration was on trial"))
	}
	if err := j.Note("download", nil); err != nil {
		return jobs.Fail(err)
	}
	name := cmp.Or(d.Hash, d.SHA256[:min(len(d.SHA256), 16)])
	if !hashes.MatchString(name) {
		return jobs.Refuse(fmt.Errorf("%q is no SHA-256", d.SHA256))
	}
	dir := filepath.Join(c.Dir, name)
	file, err := c.Layer.Lay(ctx, j, dir, j.Progress)
	if err == nil {
		err = c.Changer.Deploy(ctx, change.Deployment{File: file, Hash: d.Hash, Confirm: d.Confirm.D(),
			Overwrite: c.Overwrite != nil && c.Overwrite(), Begin: func(hash string) error {
				if err := await(ctx, c.Usual); err != nil {
					return err // nothing has changed yet
				}
				details["to"] = hash
				return j.Note(onTrial, details)
			}})
	}
	var back *change.RolledBack
	switch {
	case err == nil:
		c.tidy(name)
		return jobs.Done(details)
	case errors.As(err, &back):
		return rolledBack(details, err)
	case errors.Is(err, change.ErrStopped):
		return jobs.Outcome{} // the next process finds what ran before
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), jobs.ErrEnded):
		return jobs.Outcome{}
	}
	o := jobs.Judge(err)
	o.Details = details
	return o
}

// await waits until a gateway that has started is as usual.
func await(ctx context.Context, usual <-chan struct{}) error {
	select {
	case <-usual:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

func rolledBack(details map[string]string, err error) jobs.Outcome {
	details["rolled_back"] = "true"
	return jobs.Outcome{Status: jobs.Failed, Error: err.Error(), Details: details}
}

// tidy removes what was deployed before.
func (c Config) tidy(keep string) {
	all, _ := os.ReadDir(c.Dir) // at worst it stays
	for _, e := range all {
		if hashes.MatchString(e.Name()) && e.Name() != keep {
			_ = os.RemoveAll(filepath.Join(c.Dir, e.Name()))
		}
	}
}

// Files lays down what stands in the order itself, or is fetched.
type Files struct{ Fetcher *fetch.Fetcher }

// Lay implements [Layer].
func (f Files) Lay(ctx context.Context, j *jobs.Job, dir string, percent func(int)) (string, error) {
	var d Deploy
	if err := json.Unmarshal(j.What, &d); err != nil {
		return "", bridge.Permanent(err)
	}
	packed := d.YAML
	if len(packed) == 0 && d.SHA256 == "" {
		return "", bridge.Permanent(errors.New("the order has no configuration in it"))
	}
	if len(packed) == 0 {
		from, err := source(j)
		if err != nil {
			return "", err
		}
		file, err := f.Fetcher.Fetch(ctx, d.File, from, percent)
		if err != nil {
			return "", err
		}
		if packed, err = os.ReadFile(file); err != nil {
			return "", err
		}
		defer func() { _ = os.Remove(file) }() // what it holds is laid down, or wrong
		return layBundle(packed, dir)
	}
	content, err := unpack(packed)
	if err != nil {
		return "", bridge.Permanent(err)
	}
	file := filepath.Join(dir, "gateway.yaml")
	return file, write(file, content)
}

// layBundle lays a bundle down, instead of what an attempt that was cut has left. What
// is there whole may be what runs: it stays.
func layBundle(packed []byte, dir string) (string, error) {
	b, err := bundle.Unpack(packed)
	if err != nil {
		return "", bridge.Permanent(err)
	}
	if file, there := b.In(dir); there {
		return file, nil
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Dir(dir), 0o700)); err != nil {
		return "", err
	}
	file, err := b.Write(dir)
	if err == nil {
		err = keepName(dir)
	}
	return file, err
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(z, maxYAML+1))
	}
	if err == nil && len(content) > maxYAML {
		return nil, fmt.Errorf("the configuration has more than %d bytes", maxYAML)
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be unpacked: %w", err)
	}
	return content, nil
}

// write puts a file on disk, whole or not at all.
func write(file string, content []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return errors.Join(flush(dir), keepName(dir))
}

// keepName puts the name of a folder of Dir on disk, and that of Dir, which may be new.
func keepName(dir string) error {
	return errors.Join(flush(filepath.Dir(dir)), flush(filepath.Dir(filepath.Dir(dir))))
}

// flush puts the names in a folder on disk.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
