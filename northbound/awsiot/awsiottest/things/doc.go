// Package things are the services of AWS IoT Core that keep something for a thing:
// device shadows and command executions. They see messages and say messages; how
// those travel is not theirs.
package things
