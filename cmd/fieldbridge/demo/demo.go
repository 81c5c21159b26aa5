// Package demo is everything on one machine: simulated devices and sensors, the real
// gateway, and the stand-in for AWS IoT Core, together or the stand-in alone.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fieldbridge/gateway"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/pause"
)

// demo is everything on one machine: simulated devices and sensors, the real
// gateway, and the stand-in for AWS IoT.
type demo struct {
	dir     string
	field   *plant
	cloud   *awsiottest.Cloud
	desk    *counter
	arrived *arrivals
	gateway *gateway.Gateway
	logging *gateway.Logging

	mu      sync.Mutex
	cut     bool      // guarded by mu; the cloud is away ...
	cutTill time.Time // guarded by mu; ... until then
}

// When an outage is asked for, it begins after before; once everything has
// arrived afterwards, the demo ends after after.
const (
	before = 10 * time.Second
	after  = 5 * time.Second
)

// Options say how a demo runs.
type Options struct {
	// where configuration, queue, certificates and log are kept; "" is a folder that goes with the
	// demo
	Dir     string
	Outage  time.Duration // how long the cloud is away, 10 s after the start; the demo ends when everything has arrived
	For     time.Duration // how long it runs; 0 is until the context ends
	Version string        // of the program
}

// Run runs the demo until ctx ends, or as long as o says, and shows it on out.
func Run(ctx context.Context, o Options, out io.Writer) error {
	if o.Dir == "" {
		temporary, err := os.MkdirTemp("", "fieldbridge-demo")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(temporary) }()
		o.Dir = temporary
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	d, err := newDemo(ctx, o)
	if err != nil {
		return err
	}
	return d.run(ctx, o.Outage, out)
}

// newDemo sets everything up; nothing but the cloud runs yet.
func newDemo(ctx context.Context, o Options) (*demo, error) {
	d := &demo{dir: o.Dir, arrived: newArrivals()}
	var err error
	d.desk = &counter{waiting: make(map[string]chan []byte)}
	d.cloud, err = awsiottest.Start(awsiottest.Options{Watchers: true, Dir: filepath.Join(o.Dir, "certs"),
		OnPublish: func(m awsiottest.Message) {
			d.desk.hear(m)
			d.arrived.add(m)
		}})
	if err != nil {
		return nil, err
	}
	d.desk.cloud = d.cloud
	if _, err := d.cloud.Device(gatewayName); err != nil {
		return nil, errors.Join(err, d.cloud.Close())
	}
	if d.field, err = newPlant("127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, d.cloud.Close())
	}
	if err := d.openGateway(ctx, o.Version); err != nil {
		return nil, errors.Join(err, d.cloud.Close())
	}
	return d, nil
}

// openGateway writes the demo's configuration and opens it as `run` would.
func (d *demo) openGateway(ctx context.Context, version string) error {
	file := filepath.Join(d.dir, "demo.yaml")
	text := fmt.Sprintf(configText, d.cloud.Addr(), d.field.address)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	started, err := gateway.Load(ctx, file, "")
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
	defer func() { _ = d.cloud.Close() }()
	fieldContext, stopField := context.WithCancel(ctx)
	defer stopField()
	gatewayContext, stopGateway := context.WithCancel(context.WithoutCancel(ctx))
	defer stopGateway()

	var devices, running sync.WaitGroup
	var gatewayError error
	running.Go(func() { gatewayError = d.gateway.Run(gatewayContext) })
	devices.Go(func() { d.field.run(fieldContext, func() string { return d.brokerAddress() }) })

	devices.Go(func() {
		if err := d.desk.serve(fieldContext, filepath.Join(d.dir, "certs")); err != nil {
			d.logging.Logger.Error("'fieldbridge cloud send' will not find this cloud", "err", err)
		}
	})

	show := newView(d, out)
	over := make(chan struct{})
	viewContext, stopView := context.WithCancel(ctx)
	defer stopView()
	if outage > 0 {
		devices.Go(func() {
			if d.outage(viewContext, outage) {
				close(over)
			}
		})
	}
	show.run(viewContext, over)
	stopView()
	stopField()
	devices.Wait()
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
	if !pause.Sleep(ctx, before) {
		return false
	}
	d.setCut(true, time.Now().Add(span))
	d.cloud.Offline()
	back := pause.Sleep(ctx, span)
	for { // until it has its port again, which another program may have got for a moment
		err := d.cloud.Online()
		if err == nil {
			break
		}
		d.logging.Logger.Error("stand-in does not come back", "err", err)
		if !pause.Sleep(ctx, time.Second) {
			return false
		}
	}
	d.setCut(false, time.Time{})
	for back && d.gateway.Status().Queue.Backlog.Batches > 0 || !d.gateway.Status().Link.Connected {
		if !pause.Sleep(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return back && pause.Sleep(ctx, after)
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
