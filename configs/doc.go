// Package configs reads the configuration of a gateway: one YAML file whose keys
// are those of the packages that they configure.
//
// Reading is strict. An unknown key, a key given twice, a value of a wrong type
// and whatever an adapter's Validate finds impossible are errors with file, line
// and column, and all of them are told at once: [Load] returns a [tree.Error] with
// every [tree.Problem]. Only a syntax error comes alone.
//
//	files ─▶ tree ─▶ fleet ─▶ variables, profiles ─▶ structs ─▶ Validate ─▶ Config
//	         └ package tree   └ package fleet        └ keys by package keys
//
// The structs are the adapters' own, filled by reflection as package setting
// describes. Numbers are read from the source text by one grammar, since YAML's
// own reads 010 as eight. Anchors, aliases, tags and further documents are
// refused.
//
// A fleet file describes many gateways ([LoadFleet]); package change brings a
// changed file into a running gateway.
//
// No lock is held here: what is kept for all (shipped profiles, keys of structs)
// stands in maps that need none.
package configs
