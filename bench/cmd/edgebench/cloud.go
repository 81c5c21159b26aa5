package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgebench/mqttmini"
)

func (r *runner) startCloud() error {
	d := filepath.Join(r.v.Work, "cloud")
	certs := r.v.Certs
	tlsFiles := fmt.Sprintf("cafile %s/ca.crt\ncertfile %s/broker.crt\nkeyfile %s/broker.key\n", certs, certs, certs)
	conf := fmt.Sprintf("user root\nallow_anonymous true\nlistener %d 127.0.0.1\n%srequire_certificate true\n"+
		"listener %d 127.0.0.1\n%slistener %d 127.0.0.1\npersistence true\n"+
		"persistence_location %s/\nmax_queued_messages 0\nmax_inflight_messages 1000\n"+
		"set_tcp_nodelay true\nsys_interval 0\nlog_dest file %s/mosquitto.log\n",
		r.v.PortMTLS, tlsFiles, r.v.PortTLS, tlsFiles, r.v.PortPlain, d, d)
	var err error
	r.cloud, err = startMosquitto(d, conf, r.v.PortMTLS)
	return err
}

func (r *runner) startSub() error {
	tc, err := clientTLS(r.v.Certs, "subscriber")
	if err != nil {
		return err
	}
	first := make(chan struct{})
	go func() {
		up := false
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			c, err := mqttmini.Dial(mqttmini.Options{Addr: fmt.Sprintf("127.0.0.1:%d", r.v.PortMTLS), TLS: tc,
				ClientID:  "edgebench-sub",
				OnMessage: func(t, p []byte, dup bool) { r.dec.Decode(r.led, t, p, dup) }})
			if err == nil && !c.SessionPresent() {
				err = c.Subscribe(r.p.Topic)
			}
			if err != nil {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			if !up {
				up = true
				close(first)
			}
			select {
			case <-c.Done():
			case <-r.stop:
				c.Close()
				return
			}
		}
	}()
	select {
	case <-first:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the cloud subscriber did not connect")
	}
}

func clientTLS(dir, name string) (*tls.Config, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("%w (run scripts/make-certs.sh %s first)", err, dir)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: "localhost"}, err
}
