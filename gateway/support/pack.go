package support

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/store/state"
	"fieldbridge/store/terms"
)

// Options say of what gateway a file is packed.
type Options struct {
	File    string // the configuration; "" if it is not known
	Gateway string // its name in a fleet file; may be empty
	Dir     string // the queue's folder
	Version string // of this program
}

// readme stands first in the file.
const readme = `What this file holds, for whoever looks into a fault of a Fieldbridge gateway:

versions.json         this program, the machine, the modules that it is made of
status.json           how the gateway is: uplink, queue, ledger, buses, devices, what is wrong
metrics.txt           its figures, as Prometheus reads them
sensors.json          topics that were seen
log.txt               the last lines of its log
config.yaml           what it runs, merged, without what is from files and the environment
config-problems.txt   what a check of the configuration says
queue.json            what is in the queue's folder, file by file
folder.txt            the files there, and the room on the disk
frames/               the last frames of each bus and packets of each broker and the uplink; those of a fault were
                      frozen when it began. 'fieldbridge modbus replay FILE' plays those of a bus as a device.
missing.txt           what could not be had, and why

It holds no private key, no password and no payload of a message. It does hold names of devices and topics,
addresses, and values of registers.
`

// pack is a file that is being written.
type pack struct {
	zip     *zip.Writer
	missing []string
	added   map[string]bool // names
	hide    func(string) string
	err     error
}

// add writes a part, or notes why there is none.
func (p *pack) add(name string, data []byte, err error) {
	if err != nil {
		p.missing = append(p.missing, name+": "+err.Error())
	}
	if len(data) == 0 || p.added[name] { // a fault that the recorder has and the disk, too
		return
	}
	p.added[name] = true
	w, err := p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now()})
	if err == nil {
		_, err = io.WriteString(w, p.hide(string(data)))
	}
	p.err = errors.Join(p.err, err)
}

// Pack writes the file: what a running gateway tells, and what the disk has. It
// returns what could not be had; the error is of w.
func Pack(ctx context.Context, w io.Writer, o Options) (missing []string, err error) {
	p := &pack{zip: zip.NewWriter(w), added: make(map[string]bool), hide: func(text string) string { return text }}
	at := control.At{Store: terms.Config{Dir: setting.Path(o.Dir)}}
	config, problems, loadErr := []byte(nil), []byte(nil), error(nil)
	if o.File != "" {
		var l *configs.Loaded
		if l, loadErr = configs.LoadGateway(ctx, o.File, o.Gateway); loadErr == nil {
			p.hide, at.Store, at.Limits, at.Gateway = l.Hidden.In, l.Config.Store, true, l.Config.Gateway
			config = []byte(l.Render(true))
			for _, w := range append(l.Missing, l.Warnings...) {
				problems = fmt.Appendln(problems, w)
			}
		} else {
			problems = fmt.Appendln(problems, loadErr)
		}
	}
	p.add("README.txt", []byte(readme), nil)
	p.add("versions.json", versions(o.Version), nil)
	p.add("config.yaml", config, loadErr)
	p.add("config-problems.txt", problems, nil)
	running := p.addRunning(ctx, o.Dir)
	p.addKept(o.Dir, running)
	var queue bytes.Buffer
	_, err = at.Do(ctx, control.Queue{Op: control.Inspect}, &queue, io.Discard)
	p.add("queue.json", queue.Bytes(), err)
	p.add("folder.txt", folder(o.Dir), nil)
	p.add("missing.txt", []byte(strings.Join(p.missing, "\n")), nil)
	return p.missing, errors.Join(p.err, p.zip.Close())
}

// addRunning adds what a running gateway tells, and reports whether there is one.
func (p *pack) addRunning(ctx context.Context, dir string) (running bool) {
	for _, part := range []struct{ name, page string }{
		{"status.json", "/status"}, {"metrics.txt", "/metrics"}, {"sensors.json", "/sensors"}, {"log.txt", logPage},
		{"frames/", framesPage},
	} {
		asked, cancel := context.WithTimeout(ctx, 10*time.Second)
		data, err := control.Get(asked, dir, part.page)
		cancel()
		if errors.Is(err, control.ErrNotRunning) {
			p.missing = append(p.missing, "what a running gateway tells (status, metrics, sensors): none is running there")
			return false
		}
		running = running || err == nil
		if part.page == framesPage && err == nil {
			recordings, err := blackbox.Read(bytes.NewReader(data))
			p.addFrames(recordings, err)
			continue
		}
		p.add(part.name, data, err)
	}
	return running
}

// addKept adds what an earlier gateway put on disk.
func (p *pack) addKept(dir string, running bool) {
	kept := state.Read(dir)
	if !running {
		text, err := get(kept, logKey)
		p.add("log.txt", text, err)
	}
	for i := range mostFaults {
		text, err := get(kept, fmt.Sprintf(faultKey, i))
		if err == nil && text == nil {
			continue
		}
		var recordings []blackbox.Recording
		if err == nil {
			recordings, err = blackbox.Read(bytes.NewReader(text))
		}
		p.addFrames(recordings, err)
	}
}

// addFrames adds a file for each recording.
func (p *pack) addFrames(all []blackbox.Recording, err error) {
	if err != nil {
		p.missing = append(p.missing, "frames/: "+err.Error())
	}
	for _, r := range all {
		name := strings.NewReplacer(" ", "-", "/", "_", `\`, "_").Replace(r.Tape)
		if r.Fault != "" {
			name += ".fault." + r.Frozen.UTC().Format("20060102T150405Z")
		}
		var text bytes.Buffer
		_ = r.Write(&text, meaning(r))
		p.add("frames/"+name+".jsonl", text.Bytes(), nil)
	}
}

// versions tells of this program and the machine.
func versions(version string) []byte {
	host, _ := os.Hostname()
	modules := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
	}
	kernel, _ := os.ReadFile("/proc/version")
	system, _ := os.ReadFile("/etc/os-release")
	data, _ := json.MarshalIndent(map[string]any{"fieldbridge": version, "go": runtime.Version(), "cpus": runtime.NumCPU(),
		"os": runtime.GOOS, "arch": runtime.GOARCH, "host": host, "kernel": strings.TrimSpace(string(kernel)),
		"system": strings.Split(strings.TrimSpace(string(system)), "\n"), "modules": modules,
		"packed": time.Now().UTC()}, "", "  ")
	return data
}

// folder lists the files of a folder, and the room on its disk.
func folder(dir string) (text []byte) {
	var fsys syscall.Statfs_t
	if err := syscall.Statfs(dir, &fsys); err == nil {
		text = fmt.Appendf(text, "%s: %d of %d bytes free\n\n", dir, fsys.Bavail*uint64(fsys.Bsize),
			fsys.Blocks*uint64(fsys.Bsize))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			text = fmt.Appendf(text, "%s: %v\n", path, err)
			return nil
		}
		if info, err := d.Info(); err == nil {
			text = fmt.Appendf(text, "%v %12d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339),
				path)
		}
		return nil
	})
	if err != nil {
		text = fmt.Appendln(text, err)
	}
	return text
}
