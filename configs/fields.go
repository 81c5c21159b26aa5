package configs

import (
	"reflect"
	"strings"
	"sync"
)

// field is a key of a configuration struct.
type field struct {
	key   string
	index []int
}

var fieldCache sync.Map // reflect.Type to []field

// fieldsOf returns the keys of a struct type in the order of its fields, those
// of embedded structs in their place.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]field)
	}
	var fields []field
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous && key == "" && f.Type.Kind() == reflect.Struct:
			for _, inner := range fieldsOf(f.Type) {
				fields = append(fields, field{inner.key, append([]int{f.Index[0]}, inner.index...)})
			}
		case f.IsExported() && key != "" && key != "-":
			fields = append(fields, field{key, f.Index})
		}
	}
	fieldCache.Store(t, fields)
	return fields
}

// keyList names keys for a message.
func keyList(fields []field) string {
	const most = 24
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.key)
	}
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return strings.Join(names, ", ")
}
