package configs

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// everyKind has each kind of value that a configuration struct may have.
type everyKind struct {
	Text     string            `yaml:"text"`
	Truth    bool              `yaml:"truth"`
	Whole    int               `yaml:"whole"`
	Small    int8              `yaml:"small"`
	Byte     uint8             `yaml:"byte"`
	Big      uint64            `yaml:"big"`
	Real     float64           `yaml:"real"`
	Maybe    *int              `yaml:"maybe"`
	Wait     setting.Duration  `yaml:"wait"`
	Bytes    setting.Size      `yaml:"bytes"`
	Exact    *bridge.Decimal   `yaml:"exact"`
	File     setting.Path      `yaml:"file"`
	List     []string          `yaml:"list"`
	Numbers  []uint16          `yaml:"numbers"`
	Words    map[int64]string  `yaml:"words"`
	Inner    inner             `yaml:"inner"`
	InnerPtr *inner            `yaml:"inner_ptr"`
	Inners   map[string]*inner `yaml:"inners"`
	Rules    rules             `yaml:"rules"`
	Either   either            `yaml:"either"`
	embedded
	NoKey string
}

type embedded struct {
	Also string `yaml:"also"`
}

type inner struct {
	A int    `yaml:"a"`
	B string `yaml:"b"`
}

func (i *inner) SetDefaults() { i.A = 7 }

// rules are an ordered map that can also be written as one word.
type rules setting.Ordered[inner]

func (r *rules) UnmarshalText(text []byte) error {
	if string(text) != "all" {
		return fmt.Errorf("%q is not all", text)
	}
	*r = rules{{Name: "*"}}
	return nil
}

// either is true, or a map of keys.
type either struct {
	On bool `yaml:"-"`
	A  int  `yaml:"a"`
}

func (e *either) UnmarshalText(text []byte) error {
	e.On = string(text) == "true"
	if !e.On {
		return fmt.Errorf("%q is neither true nor a map", text)
	}
	return nil
}

func decodeText(text string) (everyKind, []tree.Problem) {
	var out everyKind
	root, problems := tree.Parse("dir/f.yaml", []byte(text))
	if root == nil {
		return out, problems
	}
	d := decoder{problems: problems}
	v := reflect.ValueOf(&out).Elem()
	setDefaults(v)
	d.object(root, v, new(place))
	return out, tree.Sorted(d.problems)
}

func TestDecode(t *testing.T) {
	got, problems := decodeText(`
text: 0123            # text is what is written
truth: true
whole: -0x1F
small: -128
byte: 255
big: 18446744073709551615
real: -2.5e3
maybe: 0
wait: 1h30m
bytes: 64KiB
exact: 0.1
file: sub/x.pem
list: [a, 'b c', "d"]
numbers:
- 0x8000
- 1
words: {0: off, 0x10: "on"}
inner: {b: x}
inner_ptr: {}
inners: {one: {a: 1}, two: {b: y}}
rules: {z: {a: 1}, a: {b: x}}
either: {a: 3}
also: here
`)
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	want := everyKind{
		Text: "0123", Truth: true, Whole: -31, Small: -128, Byte: 255, Big: 1<<64 - 1, Real: -2500, Maybe: new(int),
		Wait: setting.Duration(90 * time.Minute), Bytes: 64 << 10, Exact: &bridge.Decimal{Coef: 1, Exp: -1},
		File: "dir/sub/x.pem",
		List: []string{"a", "b c", "d"}, Numbers: []uint16{0x8000, 1}, Words: map[int64]string{0: "off", 16: "on"},
		Inner: inner{7, "x"}, InnerPtr: &inner{A: 7}, Inners: map[string]*inner{"one": {1, ""}, "two": {7, "y"}},
		Rules:  rules{{Name: "z", Value: inner{A: 1}}, {Name: "a", Value: inner{7, "x"}}},
		Either: either{A: 3}, embedded: embedded{"here"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(everyKind{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, problems = decodeText("rules: all\neither: true\n")
	if len(problems) != 0 || len(got.Rules) != 1 || !got.Either.On || got.Inner.A != 7 || got.InnerPtr != nil {
		t.Errorf("scalar forms, defaults: %+v %v", got, problems)
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := map[string]string{
		"truth: yes": `1:8: truth is "yes", not true or false: write true: yes, no, on and off are plain ` +
			`text in YAML 1.2`,
		"truth: Off": `1:8: truth is "Off", not true or false: write false: yes, no, on and off are plain ` +
			`text in YAML 1.2`,
		"truth: True": `1:8: truth is "True", not true or false: write true: yes, no, on and off are plain ` +
			`text in YAML 1.2`,
		"truth: 'true'": `1:8: truth is the text "true", not true or false: write true or false without quotes`,
		"truth: maybe":  `1:8: truth is "maybe", not true or false: write true or false`,
		"truth: [true]": `1:8: truth is a list where true or false is needed: write truth: and its value in ` +
			`one line`,
		"small: 128":                `1:8: small is 128, outside its range: write a whole number from -128 to 127`,
		"byte: -1":                  `1:7: byte is -1, outside its range: write a whole number from 0 to 255`,
		"byte: 0x100":               `1:7: byte is 0x100, outside its range: write a whole number from 0 to 255`,
		"big: 18446744073709551616": `1:6: big is 18446744073709551616, outside its range: write a smaller number`,
		"real: 1e999":               `1:7: real is 1e999, outside the range of numbers: write a smaller one`,
		"real: .nan":                `1:7: real is ".nan", not a number: write it as 12, 0.5 or 1e-3`,
		"real: .5":                  `1:7: real is ".5", not a number: write it as 12, 0.5 or 1e-3`,
		"real: 007.5": `1:7: real is "007.5", with a leading zero: write 7.5: some YAML readers take a ` +
			`leading zero as octal`,
		"whole: -010": `1:8: whole is "-010", with a leading zero: write -10: some YAML readers take a ` +
			`leading zero as octal`,
		"whole: 1 # c":          ``,
		"whole: ":               `1:1: whole has no value: give it one, or remove the key`,
		"text: ~":               `1:7: text has no value: give it one, or remove the key`,
		"text: null":            `1:7: text has no value: give it one, or remove the key`,
		"text: {a: 1}":          `1:7: text is a map where text is needed: write text: and its value in one line`,
		"list: a":               `1:7: list is "a" where a list is needed: write [a]`,
		"list: {a: 1}":          `1:7: list is a map where a list is needed: write [a, b]`,
		"list: [a, [b]]":        `1:11: list is a list where text is needed: write list: and its value in one line`,
		"numbers: [1, x]":       `1:14: numbers is "x", not a whole number: write digits`,
		"numbers: [1, 65536]":   `1:14: numbers is 65536, outside its range: write a whole number from 0 to 65535`,
		"words: {a: x}":         `1:9: a is "a", not a whole number: write digits`,
		"words: {1: x, 0x1: y}": `1:15: key 0x1 is given twice: remove one of them`,
		"words: [x]": `1:8: words is a list where names with values are needed: write them on the lines ` +
			`below, indented: name: value`,
		"inner: 5":                   `1:8: inner is "5" where keys are needed: the keys are a, b`,
		"inner: {c: 5}":              `1:9: unknown key "c" in inner: the keys here are a, b`,
		"inners: {x: {a: 1}, y: {}}": ``,
		"inners: {x: }":              `1:10: x has no value: give it one, or remove the key`,
		"rules: some":                `1:8: rules: "some" is not all`,
		"rules: [a]": `1:8: rules is a list where names with values are needed: write them on the lines ` +
			`below, indented: name: value`,
		"either: false": `1:9: either: "false" is neither true nor a map`,
		"bytes: 007": `1:8: bytes is "007", with a leading zero: write 7: some YAML readers take a leading ` +
			`zero as octal`,
		"wait: 010": `1:7: wait is "010", with a leading zero: write 10: some YAML readers take a leading ` +
			`zero as octal`,
		"nokey: x": `1:1: unknown key "nokey": the keys here are text, truth, whole, small, byte, big, ` +
			`real, maybe, wait, bytes, exact, file, list, numbers, words, inner, inner_ptr, inners, rules, either, also`,
		"TEXT: x":       `1:1: unknown key "TEXT": did you mean "text"?`,
		"inner-ptr: {}": `1:1: unknown key "inner-ptr": did you mean "inner_ptr"?`,
	}
	for text, want := range tests {
		_, problems := decodeText(text + "\n")
		var got []string
		for _, p := range problems {
			got = append(got, strings.TrimPrefix(p.String(), "dir/f.yaml:"))
		}
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
