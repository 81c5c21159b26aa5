package modbus

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// thorough tells whether tables are gone through in all combinations, as make soak
// does; else each entry is tried at least once, in turn with those of other tables.
func thorough() bool { return os.Getenv("FIELDBRIDGE_SOAK") != "" }

// TestMain fails when a test leaves goroutines behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
