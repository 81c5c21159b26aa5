// Package rules is what AWS IoT Core allows and counts, apart from any server:
// policies, rates, and the units that are billed.
package rules
