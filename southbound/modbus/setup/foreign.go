package setup

import "strings"

// foreign are our types by what manuals, IEC 61131-3 and other programs call them.
var foreign = map[string]string{
	"real": "float32", "float": "float32", "single": "float32", "float4": "float32", "ieee754": "float32",
	"f32":   "float32",
	"lreal": "float64", "double": "float64", "float8": "float64", "f64": "float64",
	"int": "int16", "short": "int16", "sint16": "int16", "s16": "int16", "i16": "int16", "signed": "int16",
	"uint": "uint16", "ushort": "uint16", "word": "uint16", "u16": "uint16", "unsigned": "uint16", "register": "uint16",
	"dint": "int32", "long": "int32", "s32": "int32", "i32": "int32", "sint32": "int32",
	"udint": "uint32", "dword": "uint32", "ulong": "uint32", "u32": "uint32",
	"lint": "int64", "s64": "int64", "i64": "int64", "longlong": "int64",
	"ulint": "uint64", "lword": "uint64", "u64": "uint64", "byte": "uint8", "usint": "uint8", "u8": "uint8",
	"sint": "int8", "s8": "int8", "i8": "int8", "boolean": "bool", "bit": "bool", "str": "string", "text": "string",
	"ascii": "string", "char": "string", "bcd": "bcd16",
}

// suggestType says which of our types was meant.
func suggestType(word string) string {
	if ours := foreign[strings.ToLower(word)]; ours != "" {
		return "write " + ours
	}
	return suggest(word, typeNames())
}

// foreignOrders are our orders by what manuals call them.
var foreignOrders = map[string]string{
	"big": "ABCD", "be": "ABCD", "bigendian": "ABCD", "msb": "ABCD", "msw": "ABCD", "highfirst": "ABCD", "1234": "ABCD",
	"little": "DCBA", "le": "DCBA", "littleendian": "DCBA", "lsb": "DCBA", "4321": "DCBA",
	"swap": "CDAB", "swapped": "CDAB", "wordswap": "CDAB", "lsw": "CDAB", "lowfirst": "CDAB", "midlittle": "CDAB",
	"3412":                 "CDAB",
	"littleendianbyteswap": "CDAB", "byteswap": "BADC", "bigendianbyteswap": "BADC", "midbig": "BADC", "2143": "BADC",
}

// orders says how to write an order of bytes.
func orders(word string) string {
	plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(word))
	switch ours := foreignOrders[plain]; ours {
	case "":
		return "use ABCD, DCBA, BADC or CDAB"
	case "DCBA":
		return "write DCBA; if the bytes of each register are in order, and the low register is first, CDAB"
	default:
		return "write " + ours
	}
}
