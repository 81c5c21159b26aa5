// Package keys knows the keys of configuration structs, and what other programs
// call them.
package keys

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Field is a key of a configuration struct.
type Field struct {
	Key   string
	Index []int
}

var fieldCache sync.Map // reflect.Type to []field

// Of returns the keys of a struct type in the order of its fields, those
// of embedded structs in their place.
func Of(t reflect.Type) []Field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]Field)
	}
	var fields []Field
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous && key == "" && f.Type.Kind() == reflect.Struct:
			for _, inner := range Of(f.Type) {
				fields = append(fields, Field{inner.Key, append([]int{f.Index[0]}, inner.Index...)})
			}
		case f.IsExported() && key != "" && key != "-":
			fields = append(fields, Field{key, f.Index})
		}
	}
	fieldCache.Store(t, fields)
	return fields
}

// Has reports whether fields have a key.
func Has(fields []Field, key string) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Key == key })
}

// List names keys for a message.
func List(fields []Field) string {
	const most = 24
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.Key)
	}
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return strings.Join(names, ", ")
}
