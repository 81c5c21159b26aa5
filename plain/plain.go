// Package plain says in plain words what the system and the standard library say
// in theirs: "nofile.yaml: there is no such file or folder: check the name" for
// "open nofile.yaml: no such file or directory".
package plain

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// reason is what an error means, and what to do if there is a general advice.
type reason struct{ fact, advice string }

// reasons are what the system's errors mean. errno(3) names them.
var reasons = map[syscall.Errno]reason{
	syscall.ENOENT:        {"no such file or folder", "check the name"},
	syscall.EACCES:        {"permission denied", "run it as the user whose it is"},
	syscall.EPERM:         {"permission denied", "run it as the user whose it is"},
	syscall.EEXIST:        {"it is there already", ""},
	syscall.EISDIR:        {"is a folder", "name a file"},
	syscall.ENOTDIR:       {"a part of this path is a file, not a folder", "name a folder"},
	syscall.ENOTEMPTY:     {"the folder is not empty", ""},
	syscall.ENAMETOOLONG:  {"the name is too long", ""},
	syscall.ENOSPC:        {"the disk is full", "make room"},
	syscall.EDQUOT:        {"this user may not fill more of the disk", "make room"},
	syscall.EROFS:         {"the disk is mounted read-only", "it may have failed, or name another folder"},
	syscall.EIO:           {"the disk or device fails", "check its cable, then replace it"},
	syscall.EMFILE:        {"too many files are open", "raise the limit (ulimit -n)"},
	syscall.ENFILE:        {"too many files are open on this machine", ""},
	syscall.ELOOP:         {"its links point at each other", ""},
	syscall.EBUSY:         {"another program has it", "end that one"},
	syscall.ENXIO:         {"there is no such device", "check that it is plugged in"},
	syscall.ENODEV:        {"there is no such device", "check that it is plugged in"},
	syscall.ENOTTY:        {"it is not a serial line", ""},
	syscall.EADDRINUSE:    {"another program has this port", "end that one, or name another port"},
	syscall.EADDRNOTAVAIL: {"this machine does not have that address", "name one of its own"},
	syscall.ECONNREFUSED:  {"connection refused", "nothing listens there, check that it is on, and the port"},
	syscall.ECONNRESET:    {"the other side ended the connection", ""},
	syscall.EPIPE:         {"the other side is gone", ""},
	syscall.EHOSTUNREACH:  {"no way leads there", "check the address and the cable"},
	syscall.ENETUNREACH:   {"no way leads there", "check the address and the cable"},
	syscall.ETIMEDOUT:     {"no answer in time", "check that it is on"},
	syscall.ENOMEM:        {"there is no memory left", ""},
}

// Text returns what err says, with each error of the system and the standard
// library in it in plain words; "" of nil. What the program itself says is kept;
// where it goes on after such an error that is its own advice, and the general one
// is left out.
func Text(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	walk(err, func(e error) (known bool) {
		is := say(e)
		before, after, found := strings.Cut(text, e.Error())
		if is.fact == "" || !found {
			return false
		}
		words := is.fact
		if is.advice != "" && !strings.HasPrefix(after, ": ") {
			words += ": " + is.advice
		}
		text = before + words + after
		return true
	})
	return text
}

// walk calls see for err and all that it wraps, outermost first. What is in one
// that see knows is not looked at.
func walk(err error, see func(error) (known bool)) {
	if err == nil || see(err) {
		return
	}
	switch e := err.(type) { //nolint:errorlint // each level is looked at
	case interface{ Unwrap() error }:
		walk(e.Unwrap(), see)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			walk(one, see)
		}
	}
}

// say returns the words for one error, with all that it wraps; none where it is
// not of the system.
func say(err error) reason {
	switch e := err.(type) { //nolint:errorlint // its own level alone is meant
	case *fs.PathError:
		return about(e.Path, e.Err)
	case *os.LinkError:
		return about(e.New, e.Err)
	case *os.SyscallError:
		return about("", e.Err)
	case syscall.Errno:
		return reasons[e]
	case *url.Error:
		return about("", e.Err)
	case *net.DNSError:
		return reason{e.Name + ": no host of that name is known", "check the name and the name server"}
	case *net.OpError:
		return ofNetwork(e)
	case *strconv.NumError:
		return reason{strconv.Quote(e.Num) + " is no number, or too large a one", ""}
	case *json.SyntaxError:
		return reason{"it is not JSON at byte " + strconv.FormatInt(e.Offset, 10), ""}
	case *json.UnmarshalTypeError:
		return reason{"its JSON has a " + e.Value + " where none belongs", ""}
	}
	switch err {
	case context.DeadlineExceeded, os.ErrDeadlineExceeded:
		return reason{"no answer in time", "try again"}
	case context.Canceled:
		return reason{"interrupted", ""}
	case fs.ErrNotExist:
		return reasons[syscall.ENOENT]
	case fs.ErrPermission:
		return reasons[syscall.EACCES]
	}
	return reason{}
}

// about says of what an error is.
func about(what string, err error) reason {
	if err == nil {
		return reason{what, ""}
	}
	is := say(err)
	if is.fact == "" {
		is.fact = Text(err)
	}
	if what != "" {
		is.fact = what + ": " + is.fact
	}
	return is
}

func ofNetwork(e *net.OpError) reason {
	where := ""
	if e.Addr != nil {
		where = e.Addr.String()
	}
	if e.Timeout() {
		return about(where, os.ErrDeadlineExceeded)
	}
	return about(where, e.Err)
}
