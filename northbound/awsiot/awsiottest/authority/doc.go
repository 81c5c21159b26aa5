// Package authority is how devices come to certificates at AWS IoT Core: it signs
// requests, knows claims and provisioning templates, and provisions by MQTT
// (developer guide, "Device provisioning MQTT API"). What it makes stands in the
// registry; the broker judges by that.
//
// A Service is safe for concurrent use.
package authority
