package configs

import (
	"bytes"
	"encoding/json"
	"path"
	"reflect"
	"strings"

	"fieldbridge/southbound/mqtt"
)

// object is a JSON object; encoding/json sorts its keys.
type object = map[string]any

// schemaOf returns the JSON Schema of a file. Wherever a value may stand, so may
// a text with a ${variable}; in a fleet null may, too.
func schemaOf(docs *sourceDocs, root reflect.Type, nullable bool) string {
	s := schemaWriter{docs: docs, nullable: nullable, defs: make(object)}
	out := s.object(withDefaults(root))
	out["$schema"] = "http://json-schema.org/draft-07/schema#"
	out["title"] = map[bool]string{false: "Fieldbridge gateway", true: "Fieldbridge fleet"}[nullable]
	out["definitions"] = s.defs
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(out); err != nil {
		docs.t.Fatal(err)
	}
	return b.String()
}

type schemaWriter struct {
	docs     *sourceDocs
	nullable bool
	defs     object
}

// ref returns a reference to the definition of a struct.
func (s *schemaWriter) ref(t reflect.Type) object {
	name := path.Base(t.PkgPath()) + "." + t.Name()
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = true // until it is made: types may contain themselves
		s.defs[name] = s.object(withDefaults(t))
	}
	return object{"$ref": "#/definitions/" + name}
}

// object describes a struct.
func (s *schemaWriter) object(v reflect.Value) object {
	properties := make(object)
	for _, k := range keysIn(s.docs, v) {
		p := s.value(k.value.Type())
		p["description"] = k.text
		if k.fallback != "" {
			p["description"] = k.text + " Default: " + k.fallback + "."
		}
		properties[k.key] = p
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

// value describes what may stand after a key.
func (s *schemaWriter) value(t reflect.Type) object {
	if t.Kind() == reflect.Interface {
		return object{}
	}
	var forms []any
	if t == reflect.TypeFor[profile]() { // may be a recipe for sensors, too
		forms = append(forms, s.ref(reflect.TypeFor[mqtt.Sensor]()))
	}
	sh := shapeOf(s.docs, t)
	switch {
	case sh.object != nil:
		forms = append(forms, s.ref(sh.object))
	case sh.list:
		forms = append(forms, object{"type": "array", "items": s.value(sh.elem)})
	case sh.elem != nil:
		elem := s.value(sh.elem)
		if !s.nullable { // a null removes a point of a profile
			elem = object{"anyOf": []any{elem, object{"type": "null"}}}
		}
		forms = append(forms, object{"type": "object", "additionalProperties": elem})
	}
	forms = append(forms, scalarForms(sh)...)
	forms = append(forms, object{"type": "string", "pattern": `\$\{`})
	if s.nullable {
		forms = append(forms, object{"type": "null"})
	}
	return object{"anyOf": forms}
}

// scalarForms describes what is written in one word.
func scalarForms(sh shape) []any {
	switch {
	case sh.scalar == "":
		return nil
	case len(sh.enum) > 0:
		return []any{object{"enum": sh.enum}}
	case sh.scalar == "any":
		return []any{object{"type": []string{"string", "number", "boolean"}}}
	case sh.scalar == "size":
		return []any{object{"type": "integer", "minimum": 0}, object{"type": "string", "pattern": sh.match}}
	case sh.match != "":
		return []any{object{"type": "string", "pattern": strings.ReplaceAll(sh.match, `\\`, `\`)}, object{"const": 0}}
	case sh.scalar == "string":
		return []any{object{"type": []string{"string", "number", "boolean"}}}
	}
	return []any{object{"type": sh.scalar}}
}
