package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fieldbridge/configs/change"
	"fieldbridge/gateway"
	"fieldbridge/northbound/awsiot/awsiottest"

	"golang.org/x/term"
)

// demo is everything on one machine: simulated devices and sensors, the real
// gateway, and the stand-in for AWS IoT.
type demo struct {
	dir     string
	field   *demoField
	cloud   *awsiottest.Cloud
	arrived *arrivals
	gateway *gateway.Gateway
	logging *gateway.Logging

	mu      sync.Mutex
	cut     bool      // guarded by mu; the cloud is away ...
	cutTill time.Time // guarded by mu; ... until then
}

// When an outage is asked for, it begins after demoBefore; once everything has
// arrived afterwards, the demo ends after demoAfter.
const (
	demoBefore = 10 * time.Second
	demoAfter  = 5 * time.Second
)

func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("demo", stderr)
	outage := flags.Duration("outage", 0, "cut the cloud for so long, 10 s after the start, and end when everything has arrived")
	span := flags.Duration("for", 0, "end after so long; else at Ctrl-C")
	dir := flags.String("dir", "", "keep configuration, queue, certificates and log here; else a temporary directory")
	if _, code, ok := parseFlags(flags, args, 0); !ok {
		return code
	}
	if *dir == "" {
		temporary, err := os.MkdirTemp("", "fieldbridge-demo")
		if err != nil {
			fmt.Fprintln(stderr, err)
			return exitFailed
		}
		defer os.RemoveAll(temporary)
		*dir = temporary
	}
	if *span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *span)
		defer cancel()
	}
	d, err := newDemo(*dir)
	if err != nil {
		fmt.Fprintln(stderr, "fieldbridge demo:", err)
		return exitFailed
	}
	if err := d.run(ctx, *outage, stdout); err != nil {
		fmt.Fprintln(stderr, "fieldbridge demo:", err)
		return exitFailed
	}
	return exitDone
}

// newDemo sets everything up in dir; nothing but the cloud runs yet.
func newDemo(dir string) (*demo, error) {
	d := &demo{dir: dir, arrived: newArrivals()}
	var err error
	d.cloud, err = awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"), OnPublish: d.arrived.add})
	if err != nil {
		return nil, err
	}
	if _, err := d.cloud.Device(demoGateway); err != nil {
		return nil, errors.Join(err, d.cloud.Close())
	}
	if d.field, err = newDemoField(); err != nil {
		return nil, errors.Join(err, d.cloud.Close())
	}
	if err := d.openGateway(); err != nil {
		return nil, errors.Join(err, d.cloud.Close())
	}
	return d, nil
}

// openGateway writes the demo's configuration and opens it as `run` would.
func (d *demo) openGateway() error {
	file := filepath.Join(d.dir, "demo.yaml")
	text := fmt.Sprintf(demoConfig, d.cloud.Addr(), d.field.address)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	started, err := change.Start(file, "", gateway.OpenState)
	if err != nil {
		return err
	}
	logFile, err := os.Create(filepath.Join(d.dir, "gateway.log"))
	if err != nil {
		return err
	}
	// The log file stays open as long as the process.
	d.logging = gateway.NewLogging(logFile, started.Config.Log)
	d.gateway, err = gateway.New(started, gateway.Options{File: file, Version: version, Logging: d.logging})
	return err
}

// run runs the demo until ctx ends or the outage is over and everything has
// arrived, and prints what became of the readings.
func (d *demo) run(ctx context.Context, outage time.Duration, out io.Writer) error {
	defer d.cloud.Close()
	fieldContext, stopField := context.WithCancel(ctx)
	defer stopField()
	gatewayContext, stopGateway := context.WithCancel(context.WithoutCancel(ctx))
	defer stopGateway()

	var field, running sync.WaitGroup
	var gatewayError error
	running.Go(func() { gatewayError = d.gateway.Run(gatewayContext) })
	field.Go(func() { d.field.run(fieldContext, func() string { return d.brokerAddress() }) })

	show := newView(d, out)
	over := make(chan struct{})
	viewContext, stopView := context.WithCancel(ctx)
	defer stopView()
	if outage > 0 {
		field.Go(func() {
			if d.outage(viewContext, outage) {
				close(over)
			}
		})
	}
	show.run(viewContext, over)
	stopView()
	stopField()
	field.Wait()
	stopGateway()
	running.Wait()
	show.summary()
	return gatewayError
}

// brokerAddress returns where the gateway's embedded broker listens, "" while
// it does not.
func (d *demo) brokerAddress() string {
	if a := d.gateway.Broker("local"); a != nil {
		return a.String()
	}
	return ""
}

// outage cuts the cloud for a while and reports whether everything has arrived
// afterwards; false means that ctx ended before.
func (d *demo) outage(ctx context.Context, span time.Duration) bool {
	if !pause(ctx, demoBefore) {
		return false
	}
	d.setCut(true, time.Now().Add(span))
	d.cloud.Offline()
	back := pause(ctx, span)
	if err := d.cloud.Online(); err != nil {
		d.logging.Logger.Error("stand-in does not come back", "err", err)
	}
	d.setCut(false, time.Time{})
	for back && d.gateway.Status().Queue.Backlog.Batches > 0 || !d.gateway.Status().Link.Connected {
		if !pause(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return back && pause(ctx, demoAfter)
}

func (d *demo) setCut(cut bool, till time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut, d.cutTill = cut, till
}

// cutFor returns how long the cloud is still away.
func (d *demo) cutFor() (left time.Duration, cut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Until(d.cutTill), d.cut
}

// pause waits for span and reports false when ctx ends before.
func pause(ctx context.Context, span time.Duration) bool {
	t := time.NewTimer(span)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// isTerminal reports whether w is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
