package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// CloudOptions say how the stand-in runs alone.
type CloudOptions struct {
	Listen string // address and port
	Dir    string // folder for the CA, certificates and keys; those of an earlier run are used again
	Thing  string // the thing whose certificate is made: the gateway's name
	Table  bool   // readings are printed, one a line, in place of messages
}

// Cloud runs the stand-in for AWS IoT Core alone, so that a newcomer can try a
// real gateway against it, until ctx ends. What is published is data, the rest is
// for people.
func Cloud(ctx context.Context, o CloudOptions, data, people io.Writer) error {
	folder, err := filepath.Abs(o.Dir) // the configuration may be somewhere else
	if err != nil {
		return err
	}
	desk := &counter{waiting: make(map[string]chan []byte)}
	show := new(seen).print
	if o.Table {
		show = new(table).print
	}
	cloud, err := awsiottest.Start(awsiottest.Options{Listen: o.Listen, Dir: folder, Watchers: true,
		Log: slog.New(slog.NewTextHandler(people, nil)), OnPublish: func(m awsiottest.Message) {
			desk.hear(m)
			show(data, m)
		}})
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: end it, or choose another port with --listen", err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = cloud.Close() }()
	device, err := cloud.Device(o.Thing)
	if err != nil {
		return err
	}
	watcher, err := cloud.Authority().Issue("watcher", awsiottest.Terms{})
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cloud.Addr())
	if err != nil {
		return err
	}
	fmt.Fprintf(people, `A stand-in for AWS IoT Core listens on %s. Ctrl-C ends it. In the gateway's configuration:

gateway: %s
northbound:
  awsiot:
    endpoint: %s
    server_name: localhost
    certificate: %s
    private_key: %s
    ca: %s
    topic: plant/{gateway}
    commands: {executions: true}

What is published follows. 'fieldbridge cloud send --dir %s %s DEVICE.POINT=VALUE' sends a command.
To watch from outside, with any certificate of its CA:
  mosquitto_sub -h %s -p %s --cafile %s --cert %s --key %s -t '#' -v
`, cloud.Addr(), o.Thing, cloud.Addr(), device.Certificate, device.PrivateKey, cloud.CA(), o.Dir, o.Thing,
		host, port, cloud.CA(), watcher.Certificate, watcher.PrivateKey)
	desk.cloud = cloud
	if err := desk.serve(ctx, folder); err != nil {
		return err
	}
	<-ctx.Done()
	c := cloud.Counts()
	fmt.Fprintf(people, "%s messages accepted, %s bytes, billed as %s units of 5 KB; %d connections, %d messages "+
		"rejected\n",
		words.Thousands(c.Published), words.Thousands(c.Bytes), words.Thousands(c.Units), c.Connects, c.Rejected)
	return nil
}

// print writes a line per message. What is not text is told by its length.
func (s *seen) print(w io.Writer, m awsiottest.Message) {
	payload := string(s.text(m))
	if !utf8.ValidString(payload) || strings.ContainsAny(payload, "\n\x1b") {
		payload = fmt.Sprintf("(%d bytes)", len(m.Payload))
	}
	fmt.Fprintf(w, "%s %s %s\n", m.At.UTC().Format(time.RFC3339Nano), m.Topic, payload)
}
