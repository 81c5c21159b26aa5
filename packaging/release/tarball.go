package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"time"
)

// entry is a file or folder of a tarball.
type entry struct {
	name  string // ends in / for a folder
	from  string // the file on disk
	mode  int64
	owner int // user and group
}

// tarred returns a gzipped tarball; its bytes depend on the content and at alone.
func tarred(entries []entry, at time.Time) (packed, plain []byte, err error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, ModTime: at, Typeflag: tar.TypeReg,
			Format: tar.FormatUSTAR}
		var content []byte
		if e.from == "" {
			h.Typeflag = tar.TypeDir
		} else if content, err = os.ReadFile(e.from); err != nil {
			return nil, nil, err
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			return nil, nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	packed, err = gzipped(out.Bytes())
	return packed, out.Bytes(), err
}

func gzipped(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// tarball is for machines without a package manager that we know: install.sh puts
// the files where the packages do.
func (s *shipment) tarball(t target) error {
	top := "fieldbridge-" + s.version + "-" + t.name + "/"
	entries := []entry{{name: top, mode: 0o755}}
	for _, f := range []struct {
		name, from string
		mode       int64
	}{
		{"fieldbridge", s.binary(t), 0o755},
		{"install.sh", "packaging/install.sh", 0o755},
		{"fieldbridge.yaml", "packaging/fieldbridge.yaml", 0o644},
		{"fieldbridge.service", "packaging/systemd/fieldbridge.service", 0o644},
		{"fieldbridge-power-fail.service", "packaging/systemd/fieldbridge-power-fail.service", 0o644},
		{"fieldbridge.procd", "packaging/openwrt/fieldbridge.init", 0o755},
		{"fieldbridge.sysv", "packaging/sysv/fieldbridge.init", 0o755},
		{"fieldbridge.openrc", "packaging/alpine/fieldbridge.init", 0o755},
		{"LICENSE", "LICENSE", 0o644},
		{"CHANGELOG.md", "CHANGELOG.md", 0o644},
		{"THIRD-PARTY-NOTICES.txt", s.notices, 0o644},
	} {
		entries = append(entries, entry{name: top + f.name, from: f.from, mode: f.mode})
	}
	packed, _, err := tarred(entries, s.at)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.out, "fieldbridge-"+s.version+"-linux-"+t.name+".tar.gz"), packed, 0o644)
}
