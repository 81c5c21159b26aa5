package configs

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"fieldbridge/configs/keys"
)

// keyPlaces returns where a gateway's file has a key, as southbound.modbus.buses.NAME.
var keyPlaces = sync.OnceValue(func() map[string][]string {
	found := make(map[string][]string)
	var walk func(t reflect.Type, path []string)
	walk = func(t reflect.Type, path []string) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.Map:
			walk(t.Elem(), append(slices.Clip(path), "NAME"))
		case t.Kind() == reflect.Slice && isOrdered(t):
			value, _ := t.Elem().FieldByName("Value")
			walk(value.Type, append(slices.Clip(path), "NAME"))
		case t.Kind() == reflect.Struct:
			for _, f := range keysOf(t) {
				found[f.Key] = append(found[f.Key], strings.Join(path, "."))
			}
			for _, f := range keys.Of(t) {
				walk(t.FieldByIndex(f.Index).Type, append(slices.Clip(path), f.Key))
			}
		}
	}
	walk(configType, nil)
	return found
})

// mostPlaces is how many places of a key are told.
const mostPlaces = 2

// belongs tells where a key that is unknown here is known, "" if nowhere or in
// too many places.
func belongs(key string) string {
	places := keyPlaces()[key]
	if len(places) == 0 || len(places) > mostPlaces {
		return ""
	}
	where := make([]string, len(places))
	for i, place := range places {
		if where[i] = "under " + place; place == "" {
			where[i] = "at the top of the file"
		}
	}
	return key + " belongs " + strings.Join(where, " or ")
}
