package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What follows is of the OCI image specification 1.1: an index of manifests, each
// with a configuration and layers, all found by their digest.

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// nobody is the user of the image: no name of it is needed, and it owns nothing on
// the host.
const nobody = 65532

// layout is an image layout in memory.
type layout struct {
	blobs map[string][]byte
	order []string // as they were added
}

func (l *layout) add(mediaType string, content []byte) descriptor {
	digest := fmt.Sprintf("%x", sha256.Sum256(content))
	if _, ok := l.blobs[digest]; !ok {
		l.blobs[digest] = content
		l.order = append(l.order, digest)
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(content)}
}

func (l *layout) addJSON(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	return l.add(mediaType, content), err
}

// image writes one archive with an image for each of targets: nothing but the
// program, which has the roots of AWS built in, and folders for its state.
func (s *shipment) image(targets []target) error {
	l := &layout{blobs: make(map[string][]byte)}
	var manifests []descriptor
	for _, t := range targets {
		m, err := s.manifest(l, t)
		if err != nil {
			return err
		}
		m.Platform = t.image
		manifests = append(manifests, m)
	}
	index := map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": manifests}
	inner, err := l.addJSON(typeIndex, index)
	if err != nil {
		return err
	}
	tag := strings.ReplaceAll(s.version, "+", "-") // which a tag may not have
	inner.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
	outer, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex,
		"manifests": []descriptor{inner}})
	if err != nil {
		return err
	}
	return l.write(filepath.Join(s.out, "fieldbridge-"+s.version+"-oci.tar"), outer, s.at)
}

func (s *shipment) manifest(l *layout, t target) (descriptor, error) {
	packed, plain, err := tarred([]entry{
		{name: "usr/", mode: 0o755}, {name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/fieldbridge", from: s.binary(t), mode: 0o755},
		{name: "etc/", mode: 0o755}, {name: "etc/fieldbridge/", mode: 0o755},
		{name: "run/", mode: 0o755}, {name: "run/fieldbridge/", mode: 0o700, owner: nobody},
		{name: "var/", mode: 0o755}, {name: "var/lib/", mode: 0o755},
		{name: "var/lib/fieldbridge/", mode: 0o700, owner: nobody},
	}, s.at)
	if err != nil {
		return descriptor{}, err
	}
	user := fmt.Sprintf("%d:%d", nobody, nobody)
	config, err := l.addJSON(typeConfig, map[string]any{
		"created": s.at.Format(time.RFC3339), "architecture": t.image.Architecture, "os": t.image.OS,
		"variant": t.image.Variant,
		"config": map[string]any{
			"User": user, "Entrypoint": []string{"/usr/bin/fieldbridge"},
			"Cmd": []string{"run", "/etc/fieldbridge/fieldbridge.yaml"}, "WorkingDir": "/var/lib/fieldbridge",
			"Volumes": map[string]any{"/var/lib/fieldbridge": struct{}{}}, "StopSignal": "SIGTERM",
			"Labels": map[string]string{"org.opencontainers.image.title": "fieldbridge",
				"org.opencontainers.image.version": s.version},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain))}},
		"history": []map[string]any{{"created": s.at.Format(time.RFC3339), "created_by": "fieldbridge release"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	layer := l.add(typeLayer, packed)
	return l.addJSON(typeManifest, map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": config,
		"layers": []descriptor{layer}})
}

// write puts the layout into a tarball, as 'skopeo copy oci-archive:' and 'podman
// load' read it.
func (l *layout) write(name string, index []byte, at time.Time) error {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(name string, content []byte) error {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: at, Typeflag: tar.TypeReg,
			Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	if err := put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := put("index.json", index); err != nil {
		return err
	}
	for _, digest := range l.order {
		if err := put("blobs/sha256/"+digest, l.blobs[digest]); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, out.Bytes(), 0o644)
}
