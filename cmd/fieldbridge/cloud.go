package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"fieldbridge/northbound/awsiot/awsiottest"
)

// runCloud runs the stand-in for AWS IoT Core alone, so that a newcomer can try
// a real gateway against it.
func runCloud(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("cloud", stderr)
	listen := flags.String("listen", "127.0.0.1:8883", "`ADDRESS` and port")
	dir := flags.String("dir", "cloud", "`FOLDER` for the CA, the certificates and keys; those of an earlier run are used again")
	thing := flags.String("thing", "press-line-2", "`NAME` of the thing whose certificate is made: the gateway's name")
	if _, code, ok := parseFlags(flags, args, 0); !ok {
		return code
	}
	folder, err := filepath.Abs(*dir) // the configuration may be somewhere else
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge cloud: %v\n", err)
		return exitFailed
	}
	cloud, err := awsiottest.Start(awsiottest.Options{Listen: *listen, Dir: folder,
		Log: slog.New(slog.NewTextHandler(stderr, nil)), OnPublish: func(m awsiottest.Message) { printMessage(stdout, m) }})
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another program listens there, end it or choose another port with --listen", err)
	}
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge cloud: %v\n", err)
		return exitFailed
	}
	defer cloud.Close()
	device, err := cloud.Device(*thing)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge cloud: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stderr, `A stand-in for AWS IoT Core listens on %s. Ctrl-C ends it. In the gateway's configuration:

gateway: %s
northbound:
  awsiot:
    endpoint: %s
    server_name: localhost
    certificate: %s
    private_key: %s
    ca: %s
    topic: plant/{gateway}

What is published follows.
`, cloud.Addr(), *thing, cloud.Addr(), device.Certificate, device.PrivateKey, cloud.CA())
	<-ctx.Done()
	c := cloud.Counts()
	fmt.Fprintf(stderr, "%s messages accepted, %s bytes, billed as %s units of 5 KB; %d connections, %d messages rejected\n",
		thousands(c.Published), thousands(c.Bytes), thousands(c.Units), c.Connects, c.Rejected)
	return exitDone
}

// printMessage writes a line per message: data, so on stdout. What is no text
// is told by its length.
func printMessage(w io.Writer, m awsiottest.Message) {
	payload := string(m.Payload)
	if !utf8.ValidString(payload) || strings.ContainsAny(payload, "\n\x1b") {
		payload = fmt.Sprintf("(%d bytes)", len(m.Payload))
	}
	fmt.Fprintf(w, "%s %s %s\n", m.At.UTC().Format(time.RFC3339Nano), m.Topic, payload)
}
