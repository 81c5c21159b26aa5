// Fieldbridge-p11 uses keys in PKCS #11 tokens for the gateway, which starts it for
// each signature. It does what the one request on its standard input asks, answers on
// its standard output, and ends. A person can have it list the keys of a library:
//
//	fieldbridge-p11 list /usr/lib/softhsm/libsofthsm2.so [file:/etc/fieldbridge/pin]
//
// It is a program of its own because a vendor's library may hang or crash, and because
// loading one needs the C library that the gateway does without.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"fieldbridge/northbound/awsiot/identity/token"

	"golang.org/x/sys/unix"
)

// most is after what time it ends by itself: the gateway ends it before, unless it is
// gone itself.
const most = 20 * time.Second

func main() {
	runtime.LockOSThread() // libraries may keep things by thread
	if len(os.Args) > 1 {
		os.Exit(people(os.Args[1:]))
	}
	time.AfterFunc(most, func() { os.Exit(3) })
	out, err := takeOutput()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var q token.Request
	if err := token.Read(os.Stdin, &q); err != nil {
		fmt.Fprintln(os.Stderr, "fieldbridge starts this program for itself; people can say: "+usage)
		os.Exit(2)
	}
	if err := token.Write(out, answer(&q)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// takeOutput returns the standard output, and has what the library prints go to the
// standard error.
func takeOutput() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "stdout"), unix.Dup3(unix.Stderr, unix.Stdout, 0)
}

const usage = token.Helper + " list LIBRARY [PIN-SOURCE]"

// people lists what a library finds.
func people(args []string) int {
	if args[0] != "list" || len(args) < 2 || len(args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: "+usage)
		return 2
	}
	u := &token.URI{Module: args[1]}
	if len(args) == 3 {
		u.PIN = args[2]
	}
	a := answer(&token.Request{Version: token.Version, Operation: token.List, URI: u.String()})
	if a.Fault != "" {
		fmt.Fprintln(os.Stderr, a.Text)
		return 1
	}
	for _, name := range a.Found {
		fmt.Println(name)
	}
	return 0
}

// answer does what is asked.
func answer(q *token.Request) *token.Answer {
	a, err := do(q)
	if err == nil {
		a.Version = token.Version
		return a
	}
	a = &token.Answer{Version: token.Version, Fault: token.FaultDevice, Text: err.Error()}
	var f *token.FaultError
	if errors.As(err, &f) {
		a.Fault = f.Fault
	}
	return a
}

func fault(kind token.Fault, format string, args ...any) error {
	return &token.FaultError{Fault: kind, Text: fmt.Sprintf(format, args...)}
}

func do(q *token.Request) (*token.Answer, error) {
	if err := token.CheckVersion(q.Version); err != nil {
		return nil, fault(token.FaultRequest, "%v", err)
	}
	u, err := token.Parse(q.URI)
	if err != nil {
		return nil, fault(token.FaultRequest, "%v", err)
	}
	m, err := load(u.Module)
	if err != nil {
		return nil, fault(token.FaultModule, "%v", err)
	}
	defer m.finalize()
	if q.Operation == token.List {
		found, err := list(m, u)
		return &token.Answer{Found: found}, err
	}
	s, err := open(m, u, q.Operation == token.Generate)
	if err != nil {
		return nil, err
	}
	switch q.Operation {
	case token.Generate:
		if err := s.generate(u); err != nil {
			return nil, err
		}
		return s.public(u)
	case token.Public:
		return s.public(u)
	case token.Sign:
		return s.sign(u, q.Digest)
	}
	return nil, fault(token.FaultRequest, "the operation %q is not known", q.Operation)
}
