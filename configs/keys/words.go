package keys

import (
	"slices"
	"strings"

	"fieldbridge/setting"
)

// otherWords are what other programs and manuals call our keys.
var otherWords = map[string][]string{
	"address":        {"url", "listen", "holding", "unit_id", "endpoint"},
	"broker_url":     {"url"},
	"byte_order":     {"order"},
	"cert":           {"certificate"},
	"cert_file":      {"certificate"},
	"cafile":         {"ca"},
	"ca_file":        {"ca"},
	"clientid":       {"client_id"},
	"data_type":      {"type"},
	"datatype":       {"type"},
	"directory":      {"dir"},
	"factor":         {"scale"},
	"file":           {"path"},
	"host":           {"url", "listen", "endpoint"},
	"interval":       {"every"},
	"key":            {"private_key", "path"},
	"key_file":       {"private_key"},
	"lvl":            {"level"},
	"keepalive":      {"keep_alive"},
	"multiplier":     {"scale"},
	"password":       {"password_file"},
	"path":           {"dir", "url"},
	"period":         {"every"},
	"poll":           {"every"},
	"poll_interval":  {"every"},
	"port":           {"url", "listen", "endpoint"},
	"registers":      {"points"},
	"scan_rate":      {"every"},
	"server":         {"url", "endpoint"},
	"slave":          {"unit_id"},
	"slave_id":       {"unit_id"},
	"station":        {"unit_id"},
	"tags":           {"points"},
	"unit":           {"unit_id"},
	"units":          {"unit"},
	"user":           {"username"},
	"word_order":     {"order"},
	"input_register": {"input"},
	"register":       {"holding"},
}

// Suggest returns the key that was probably meant, or "".
func Suggest(given string, fields []Field) string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.Key
	}
	for _, word := range otherWords[strings.ToLower(strings.ReplaceAll(given, "-", "_"))] {
		if slices.Contains(keys, word) {
			return word
		}
	}
	return setting.Suggest(given, keys)
}
