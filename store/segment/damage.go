package segment

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
)

// damageError is why a file is not to be trusted. Whatever else goes wrong with
// a file may pass; this does not.
type damageError struct{ cause error }

func (e *damageError) Error() string { return e.cause.Error() }
func (e *damageError) Unwrap() error { return e.cause }

// Damaged returns an error that says what is wrong with a file for good; its
// arguments are those of [fmt.Errorf].
func Damaged(format string, args ...any) error {
	return &damageError{fmt.Errorf(format, args...)}
}

// IsDamage reports whether err says that a file is damaged. What it does not say
// so of may pass, as a lack of memory.
func IsDamage(err error) bool {
	_, is := errors.AsType[*damageError](err)
	return is
}

// damagedUnlessPassing takes errors for damage that will not go away.
func damagedUnlessPassing(err error) error {
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN,
		syscall.EROFS, os.ErrNotExist} {
		if errors.Is(err, passing) {
			return err
		}
	}
	return &damageError{err}
}

// guard runs f, which touches a mapped file, and returns panics and memory
// faults as damage: bbolt panics on pages that make no sense, and a page that
// the disk does not give is a fault.
func guard(f func() error) (err error) {
	// Of this goroutine alone, and put back at the end.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = Damaged("reading it panics: %v", p)
		}
	}()
	return f()
}
