package release

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// launched is the variable by which a release knows that it was launched: the version
// and the path of the packaged program, parted by a blank.
const launched = "FIELDBRIDGE_LAUNCHED_BY"

// mostAttempts is how often a trial is started: a crash, a watchdog and a power cut
// each take one.
const mostAttempts = 3

// Launch gives the place of this process to the release that is to run, with these
// arguments and this environment. It returns when that is the packaged program, and
// why it is, if a release was to run. self is the path of the packaged program.
func (f *Folder) Launch(self string, args, env []string) error {
	s, err := f.Slots()
	if err != nil {
		return fmt.Errorf("the packaged program runs: %w", err)
	}
	var whys []error
	if s.Trial != nil {
		err := f.try(&s, self, args, env)
		if err == nil {
			return nil
		}
		whys = append(whys, err)
	}
	if s.Current != "" && Compare(s.Current, f.Packaged) > 0 && isVersion(f.Packaged) {
		_, err := f.verify(s.Current)
		if err == nil {
			err = f.run(s.Current, self, args, env)
		}
		whys = append(whys, fmt.Errorf("release %s cannot run: %w", s.Current, err))
	}
	return errors.Join(whys...)
}

// try starts the release on trial, and returns nil if that is the packaged program.
// Else it returns why it does not run; then the slots say so, if the disk lets them.
func (f *Folder) try(s *Slots, self string, args, env []string) error {
	v := s.Trial.Version
	why := fmt.Sprintf("it was started %d times and ended each time before it had proved itself", s.Trial.Attempts)
	spent := s.Trial.Attempts >= mostAttempts
	if !spent {
		err := f.may(s, v)
		if err == nil {
			err = f.executable(v)
		}
		if err == nil {
			err = f.change(func(now *Slots) error { // before it begins: what follows may be a power cut
				if now.Trial == nil || now.Trial.Version != v {
					return ErrNoTrial
				}
				now.Trial.Attempts++
				return nil
			})
			if err != nil { // a trial that cannot be counted could be tried for ever
				return fmt.Errorf("release %s is not tried: its attempts cannot be counted: %w", v, err)
			}
			if v == f.Packaged {
				return nil
			}
			err = f.run(v, self, args, env)
		}
		why = err.Error()
	}
	err := f.change(func(now *Slots) error {
		switch {
		case now.Trial == nil || now.Trial.Version != v:
			return ErrNoTrial
		case spent:
			now.reject(why, time.Now())
		default: // the file is wrong and may be right another time; the version is not
			now.end(why, time.Now())
		}
		return nil
	})
	return errors.Join(fmt.Errorf("release %s was given up: %s", v, why), err)
}

// run gives the place of this process away. It returns only an error.
func (f *Folder) run(version, self string, args, env []string) error {
	path := f.path(version, Program)
	// A panic before the program's first line would end it with the exit code of a wrong
	// file (2), after which a service manager starts nothing again: it must be a signal.
	env = append(without(env), launched+"="+f.Packaged+" "+self, traceback+"=crash")
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, args, env))
}

// Launched returns the version of the packaged program that launched this one, and
// where it lies; both are "" if this one is it.
func Launched() (packaged, self string) {
	packaged, self, _ = strings.Cut(os.Getenv(launched), " ")
	return packaged, self
}

// Return gives the place of this process back to the packaged program, which chooses
// again. It returns only an error.
func Return(self string, args, env []string) error {
	return fmt.Errorf("execute %s: %w", self, syscall.Exec(self, args, without(env)))
}

// traceback is the variable that says how Go's runtime ends a process (package runtime).
const traceback = "GOTRACEBACK"

// without returns an environment without what run adds to it.
func without(env []string) (rest []string) {
	for _, e := range env {
		if !strings.HasPrefix(e, launched+"=") && !strings.HasPrefix(e, traceback+"=") {
			rest = append(rest, e)
		}
	}
	return rest
}
