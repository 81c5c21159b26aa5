package registers

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// pattern returns a pattern that is made when it is first asked for: a gateway that runs
// imports no list.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var (
	addressText = pattern(`^(?i)(?:[134]x\s?|%?[miq]?w)?(0x[0-9a-f]+|[0-9a-f]+h|[0-9]+)`)
	widthText   = pattern(`(8|16|24|32|48|64)`)
	numberText  = pattern(`^[-+]?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?`)
	spanText    = pattern(`^[0-9]+(?:\s*[-,/–…]\s*[0-9]+)+$`)
	unitText    = pattern(`^([0-9]*[.,]?[0-9]+)\s*([^0-9.,\s].*)$`)
	stateText   = pattern(`(-?(?:0x[0-9A-Fa-f]+|[0-9]+))\s*[:=]\s*([^;,|\n]+)`)
)

// readAddress reads an address: 3059, 0x0BF3, 0BF3h, 30001-30002, 4x0001.
func readAddress(text string) (digits string, value int, ok bool) {
	m := addressText().FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return "", 0, false
	}
	s, base := strings.ToLower(m[1]), 10
	if hex, found := strings.CutPrefix(s, "0x"); found {
		s, base = hex, 16
	} else if hex, found := strings.CutSuffix(s, "h"); found {
		s, base = hex, 16
	}
	v, err := strconv.ParseUint(s, base, 32)
	if base == 10 {
		digits = s
	}
	return digits, int(v), err == nil
}

// readSpan returns how many registers an address names: 2 for 63,64 and 30001-30002,
// 0 where it names only the first.
func readSpan(text string) int {
	if text = strings.TrimSpace(text); !spanText().MatchString(text) {
		return 0
	}
	digits := regexp.MustCompile(`[0-9]+`).FindAllString(text, -1)
	first, err1 := strconv.Atoi(digits[0])
	last, err2 := strconv.Atoi(digits[len(digits)-1])
	if err1 != nil || err2 != nil || last <= first || last-first > 124 {
		return 0
	}
	return last - first + 1
}

// readUnit takes a factor apart that stands before the unit: 0.1V, 0.01 kWh.
func readUnit(text string) (factor, unit string) {
	if m := unitText().FindStringSubmatch(text); m != nil {
		if n, ok := readNumber(m[1]); ok && n != "0" {
			return n, strings.TrimSpace(m[2])
		}
	}
	return "", text
}

// readTable reads a function or the name of a table; set says that it writes, too.
func readTable(text string) (table string, set bool) {
	s := squeeze(text)
	for _, w := range []struct{ part, table string }{
		{"hold", "holding"}, {"input", "input"}, {"coil", "coil"}, {"discrete", "discrete"},
		{"4x", "holding"}, {"3x", "input"}, {"1x", "discrete"}, {"0x", "coil"},
	} {
		if s == w.part || len(w.part) > 2 && strings.Contains(s, w.part) {
			return w.table, strings.Contains(s, "write") && !strings.Contains(s, "readonly")
		}
	}
	tables := map[int]string{1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil",
		16: "holding"}
	for _, digits := range regexp.MustCompile(`0x[0-9a-fA-F]+|[0-9]+`).FindAllString(text, -1) {
		n, err := strconv.ParseInt(digits, 0, 32)
		if err != nil {
			n, err = strconv.ParseInt(digits, 10, 32) // 08 and 09 are no octal numbers
		}
		if err != nil || tables[int(n)] == "" {
			continue
		}
		if table == "" {
			table = tables[int(n)]
		}
		set = set || n == 5 || n == 6 || n == 15 || n == 16
	}
	return table, set
}

// readType reads the type of a value that takes so many registers, 0 if the list
// does not say.
func readType(text string, registers int) (kind string, swapped bool, err error) {
	s := squeeze(text)
	swapped = strings.Contains(s, "swap") || strings.Contains(s, "little") || strings.Contains(s, "lwhw") ||
		strings.Contains(s, "cdab") || strings.HasSuffix(s, "le") && widthText().MatchString(s) || strings.HasSuffix(s, "sw")
	width := 0
	if m := widthText().FindString(s); m != "" {
		width, _ = strconv.Atoi(m)
	}
	if width == 0 && registers > 0 {
		width = 16 * registers
	}
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(s, p) {
				return true
			}
		}
		return false
	}
	base := ""
	switch {
	case strings.HasPrefix(s, "signed"):
		base = "int"
	case has("string", "ascii", "char", "text", "utf8") || strings.HasPrefix(s, "str"):
		return "string", false, nil
	case has("bcd"):
		base = "bcd"
	case has("double", "lreal"):
		base, width = "float", 64
	case has("float", "real", "ieee", "single") || strings.HasPrefix(s, "f") && width > 0:
		base = "float"
		if width == 0 || width == 16 && registers == 0 {
			width = 32
		}
	case has("bool", "coil", "bit") && !widthText().MatchString(s) || s == "discrete":
		return "bool", false, nil
	case has("sdword"):
		base, width = "int", 32
	case has("ulong", "dword", "udint"):
		base, width = "uint", 32
	case has("uint", "unsigned", "word", "ushort", "enum", "bitfield", "bitmap") &&
		!has("sword", "signedword", "sdword") || strings.HasPrefix(s, "u") || s == "":
		base = "uint"
	case has("dint", "long"):
		base, width = "int", 32
	case has("int", "signed", "short", "sword") || strings.HasPrefix(s, "s") || strings.HasPrefix(s, "i"):
		base = "int"
	case widthText().MatchString(s):
		base = "uint"
	default:
		return "", false, fmt.Errorf("type %q is not known", text)
	}
	if width == 0 {
		width = 16
	}
	switch kind = base + strconv.Itoa(width); kind {
	case "uint8", "int8", "uint16", "int16", "uint24", "int24", "uint32", "int32", "uint48", "int48", "uint64", "int64",
		"float16", "float32", "float64", "bcd16", "bcd32":
		return kind, swapped && width > 16, nil
	}
	return "", false, fmt.Errorf("type %q of %d bits is not known", text, width)
}

// readNumber reads a factor as lists have it: 0.1, 0,1, 1/10, /10, x0.1, 10^-1.
func readNumber(text string) (string, bool) {
	s := strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(text), "*x×X "))
	if exp, ok := strings.CutPrefix(s, "10^"); ok {
		n, err := strconv.Atoi(strings.Trim(exp, "() "))
		return powerOfTen(n), err == nil && n >= -12 && n <= 12
	}
	if _, below, ok := strings.Cut(s, "/"); ok && (strings.HasPrefix(s, "/") || strings.HasPrefix(s, "1/")) {
		return inverse(strings.TrimSpace(below))
	}
	m := numberText().FindString(s)
	if m == "" || strings.TrimSpace(s[len(m):]) != "" && !strings.HasPrefix(s[len(m):], " ") {
		return "", false
	}
	return plainNumber(strings.Replace(m, ",", ".", 1))
}

func plainNumber(s string) (string, bool) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", false
	}
	return strconv.FormatFloat(v, 'f', -1, 64), true
}

// inverse returns one divided by a number: of a power of ten exactly.
func inverse(text string) (string, bool) {
	s, ok := plainNumber(strings.Replace(text, ",", ".", 1))
	v, err := strconv.ParseFloat(s, 64)
	if !ok || err != nil || v == 0 {
		return "", false
	}
	return strconv.FormatFloat(1/v, 'g', 12, 64), true
}

func powerOfTen(n int) string {
	if n >= 0 {
		return "1" + strings.Repeat("0", n)
	}
	return "0." + strings.Repeat("0", -n-1) + "1"
}

// readAccess reads whether a point can be read and written.
func readAccess(text string) (read, write bool) {
	switch s := squeeze(text); s {
	case "", "r", "ro", "readonly", "read", "no", "false", "0", "n", "lesen":
		return true, false
	case "w", "wo", "writeonly":
		return false, true
	default:
		return true, strings.Contains(s, "w") || s == "yes" || s == "true" || s == "1" || s == "y" || s == "x"
	}
}

// readStates reads the names of numbers: 0=off; 1=on.
func readStates(text string) string {
	var states []string
	for _, m := range stateText().FindAllStringSubmatch(text, -1) {
		states = append(states, m[1]+": "+quoted(strings.TrimSpace(m[2])))
	}
	if len(states) < 2 {
		return ""
	}
	return "{" + strings.Join(states, ", ") + "}"
}

// quoted writes a text for YAML.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\r", " ", "\t", " ").Replace(text) + `"`
}

// pointName makes the name of a point of a text.
func pointName(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == 'ä':
			b.WriteString("ae")
		case r == 'ö':
			b.WriteString("oe")
		case r == 'ü':
			b.WriteString("ue")
		case r == 'ß':
			b.WriteString("ss")
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	s := strings.Trim(b.String(), "_")
	if len(s) > mostName {
		s = strings.TrimRight(s[:mostName], "_")
	}
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = strings.TrimRight("p_"+s, "_")
	}
	return s
}
