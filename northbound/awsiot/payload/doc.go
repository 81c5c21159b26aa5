// Package payload turns batches into messages as AWS IoT Core takes them: the
// formats rows, columns, flat and protobuf, their topics, and what they will cost.
//
// It is pure: no file, no network, no goroutine, no lock, and no clock but the
// times of the batches. docs/payload.md has the schemas. Sizes and rates are from
// "AWS IoT Core endpoints and quotas"; AWS meters messages in steps of 5 KB.
package payload
