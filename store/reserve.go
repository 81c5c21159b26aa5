package store

const (
	growBy    = 256 << 10
	growFirst = 16 << 10
)
