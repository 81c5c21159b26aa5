// Package accounttest is an AWS account for tests and demonstrations of a fleet: the
// stand-in's broker with everything plugged into it that devices ask for, and the
// control plane beside it. The gateway's binary does not carry it.
package accounttest

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/control"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// Account is a running account. Its parts are safe for concurrent use.
type Account struct {
	*awsiottest.Cloud
	Provisioning *authority.Service
	Jobs         *jobs.Service
	Streams      *streams.Service
	Control      *control.Server
	Key          control.Key // signs for the account's owner
	URL          string      // of the control plane, http://127.0.0.1:port

	ours    bool // the broker, which Close ends, too
	servers []*http.Server
	served  chan error
}

// Start starts an account. listen is the address of its control plane, "" for any
// port of this machine. Close ends it.
func Start(o awsiottest.Options, listen string) (*Account, error) {
	cloud, err := awsiottest.Start(o)
	if err != nil {
		return nil, err
	}
	a, err := Around(cloud, listen)
	if err != nil {
		return nil, errors.Join(err, cloud.Close())
	}
	a.ours = true
	return a, nil
}

// Around makes an account of a broker that runs, and that its owner ends. Presigned URLs
// of files begin with https://localhost; the certificate there is of the broker's
// authority.
func Around(cloud *awsiottest.Cloud, listen string) (*Account, error) {
	id, err := cloud.Authority().Issue("files", awsiottest.Terms{Hosts: []string{"localhost", "127.0.0.1", "::1"}})
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(id.Certificate, id.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	l, err := net.Listen("tcp", cmp.Or(listen, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	files, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return nil, fmt.Errorf("files: %w", errors.Join(err, l.Close()))
	}
	secret := make([]byte, 20)
	_, _ = rand.Read(secret) // does not fail
	a := &Account{Cloud: cloud, Provisioning: authority.New(cloud.Registry(), cloud.Authority()),
		Jobs: jobs.New(cloud.Registry()), Streams: streams.New(), URL: "http://" + l.Addr().String(),
		Key: control.Key{ID: "AKIASTANDIN", Secret: hex.EncodeToString(secret)}, served: make(chan error, 2)}
	cloud.Serve(a.Provisioning)
	cloud.Serve(a.Jobs)
	cloud.Serve(a.Streams)
	_, port, _ := net.SplitHostPort(files.Addr().String())
	a.Control = control.New(control.Parts{Broker: cloud, Registry: cloud.Registry(), Authority: a.Provisioning,
		Jobs: a.Jobs, Streams: a.Streams, Keys: []control.Key{a.Key}, URL: a.URL, Files: "https://localhost:" + port})
	for _, on := range []net.Listener{l, files} {
		s := &http.Server{Handler: a.Control, ReadHeaderTimeout: 10 * time.Second,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)} // who goes away is a part of tests
		a.servers = append(a.servers, s)
		go func() { a.served <- s.Serve(on) }()
	}
	return a, nil
}

// Close ends the account and returns when all of it has ended.
func (a *Account) Close() (err error) {
	for _, s := range a.servers {
		err = errors.Join(err, s.Close())
	}
	for range a.servers {
		if served := <-a.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	if a.ours {
		err = errors.Join(err, a.Cloud.Close())
	}
	return err
}

// Environment returns what a program needs of the environment to reach the control
// plane as the account's owner.
func (a *Account) Environment() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + a.Key.ID, "AWS_SECRET_ACCESS_KEY=" + a.Key.Secret, "AWS_SESSION_TOKEN=",
		"AWS_REGION=" + control.Region, "AWS_DEFAULT_REGION=" + control.Region, "AWS_ENDPOINT_URL=" + a.URL,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null"}
}
