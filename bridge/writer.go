package bridge

import "context"

// Command asks for a point of a device to be set.
type Command struct {
	Device string
	Point  string
	Value  Value // in the point's engineering unit; an enum also takes its name as text
}

// Writer is a [Source] that can also set points.
type Writer interface {
	// Write sets a point and returns when the device has it: read back and
	// compared. It returns an error marked by [Permanent] when the command is
	// refused for good: no such point, not writable, outside its limits, refused
	// by the device. After any other error the command may or may not have been
	// carried out. It is safe for concurrent use and ends with ctx.
	Write(ctx context.Context, c Command) error
}
