package identity

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// proxy starts an HTTP proxy that answers each CONNECT with a status, and lets
// through what it answers with 200.
func (r *rig) proxy(status string) {
	endpoint := r.o.Config.Endpoint
	r.listen(func(conn net.Conn) {
		in := bufio.NewReader(conn)
		request, err := http.ReadRequest(in)
		if err != nil || request.Method != http.MethodConnect {
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", status)
		if status != "200 OK" {
			return
		}
		cloud, err := net.Dial("tcp", request.Host)
		if err != nil {
			return
		}
		defer cloud.Close()
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(cloud, in); _ = cloud.(*net.TCPConn).CloseWrite() })
		_, _ = io.Copy(conn, cloud)
		_ = conn.Close()
		both.Wait()
	})
	r.o.Config.Proxy, r.o.Config.Endpoint = "http://me:secret@"+r.o.Config.Endpoint, endpoint
}

func TestProxy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.proxy("200 OK")
	if report := r.check("proxy.txt"); !report.OK {
		t.Error(report.Conclusion)
	}
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.proxy("403 Forbidden")
	fails(t, r.check("proxy-refuses.txt"), Address)
}

// TestNoProxy: it is the proxy that is not there, not the cloud.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil).Offline()
	r.o.Config.Proxy, r.o.Config.Endpoint = "http://"+r.o.Config.Endpoint, "a1b2c3-ats.iot.eu-central-1.amazonaws.com:8883"
	fails(t, r.check("no-proxy.txt"), Address)
}
