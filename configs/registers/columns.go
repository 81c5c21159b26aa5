package registers

import (
	"strings"
	"unicode"
)

// role is what a column holds.
type role string

const (
	address  role = "address"
	name     role = "name"
	kind     role = "type"
	scale    role = "scale"
	divisor  role = "divisor"
	offset   role = "offset"
	unit     role = "unit"
	function role = "function"
	access   role = "writable"
	length   role = "length"
	order    role = "order"
	bit      role = "bit"
	least    role = "min"
	greatest role = "max"
	invalid  role = "invalid"
	enum     role = "enum"
	about    role = "description"
)

// headers are the words that headers have, without spaces and signs, in the order
// in which a column is looked for; the first that a header equals, or begins with,
// counts.
var headers = []struct {
	role  role
	words []string
}{
	{address, []string{"wireaddress", "modbusaddress", "registeraddress", "startaddress", "startingaddress",
		"addressdec", "addressdecimal", "decimaladdress", "addresshex", "hexaddress", "address", "addresses", "addr",
		"adresse", "registernumber", "registerno", "register", "registers", "reg", "modbusregister", "parameternumber"}},
	{name, []string{"name", "tag", "tagname", "signal", "signalname", "variable", "variablename", "parameter",
		"parametername", "measurement", "point", "pointname", "metric", "field", "bezeichnung", "registername", "label",
		"title", "id"}},
	{kind, []string{"datatype", "type", "format", "dataformat", "typ", "datentyp", "encoding", "valuetype"}},
	{divisor, []string{"divisor", "divider", "gain", "div", "divideby"}},
	{scale, []string{"scale", "scaling", "scalefactor", "scalingfactor", "factor", "multiplier", "multiplikator",
		"resolution", "accuracy", "coefficient", "faktor", "skalierung"}},
	{offset, []string{"offset", "valueoffset"}},
	{unit, []string{"unit", "units", "uom", "einheit", "unitofmeasurement", "engineeringunit"}},
	{function, []string{"functioncode", "function", "fc", "table", "registertype", "regtype", "area", "objecttype",
		"addressspace", "memoryarea", "kind"}},
	{access, []string{"writable", "writeable", "access", "rw", "readwrite", "permission", "mode", "zugriff", "write"}},
	{length, []string{"length", "size", "count", "words", "numberofregisters", "quantity", "registercount", "len",
		"noofregisters", "bits", "numregisters", "laenge"}},
	{order, []string{"byteorder", "wordorder", "order", "endianness", "endian", "swap"}},
	{bit, []string{"bit", "bitposition", "bitnumber", "bitno"}},
	{least, []string{"min", "minimum", "minvalue", "lowerlimit", "low"}},
	{greatest, []string{"max", "maximum", "maxvalue", "upperlimit", "high"}},
	{invalid, []string{"invalid", "nan", "novalue", "sentinel", "errorvalue"}},
	{enum, []string{"enum", "values", "states", "enumeration", "mapping", "options"}},
	{about, []string{"description", "comment", "remark", "note", "notes", "desc", "beschreibung", "remarks", "meaning"}},
}

// columns finds what the columns of a header line hold: the place of each role.
func columns(cells []string) map[role]int {
	found := make(map[role]int)
	taken := make(map[int]bool)
	plain := make([]string, len(cells))
	for i, c := range cells {
		plain[i] = squeeze(c)
	}
	for _, whole := range []bool{true, false} { // a header that is the word comes before one that begins with it
		for _, h := range headers {
			if _, ok := found[h.role]; ok {
				continue
			}
			for _, word := range h.words {
				if i := column(plain, word, whole, taken); i >= 0 {
					found[h.role], taken[i] = i, true
					break
				}
			}
		}
	}
	if _, ok := found[name]; !ok { // then the description has to name the points
		if i, ok := found[about]; ok {
			found[name] = i
			delete(found, about)
		}
	}
	return found
}

func column(plain []string, word string, whole bool, taken map[int]bool) int {
	for i, text := range plain {
		if taken[i] || text == "" {
			continue
		}
		if text == word || !whole && len(word) > 2 && strings.HasPrefix(text, word) {
			return i
		}
	}
	return -1
}

// squeeze returns the letters and digits of a text, small.
func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}
