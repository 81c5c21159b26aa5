package naming

import (
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf8"

	"fieldbridge/bridge"
)

// Device makes the name of a device: what cannot be in one becomes '_', and it is
// cut after 64 bytes.
func Device(s string) string {
	if bridge.ValidDevice(s) {
		return s
	}
	b := []byte(s[:min(len(s), 64)])
	for i, c := range b {
		if !bridge.ValidDevice(string(rune(c))) {
			b[i] = '_'
		}
	}
	return string(b)
}

// DeviceApart makes the name of a device whose plain name another one has: letters
// of other alphabets are written in ours, and what the original hashes to follows.
// digits is how many hexadecimal digits of that.
func DeviceApart(s string, digits int) string { return apart(Device, s, digits) }

// PointApart is DeviceApart for a point, whose plain name is that of
// [bridge.PointName].
func PointApart(s string, digits int) string { return apart(bridge.PointName, s, digits) }

func apart(plain func(string) string, s string, digits int) string {
	name := plain(transliterate(s))
	return fmt.Sprintf("%s_%s", name[:min(len(name), 63-digits)], hash(s)[:digits])
}

// hash returns 16 hexadecimal digits of s.
func hash(s string) string {
	h := fnv.New64a()
	h.Write([]byte(s))
	v := h.Sum64()
	v ^= v >> 33 // the last bytes of s are to reach the first digits
	v *= 0xff51afd7ed558ccd
	return fmt.Sprintf("%016x", v^v>>33)
}

// letters are letters of other alphabets and how they are written in ours.
var letters = pairs(`
ä ae ö oe ü ue ß ss å aa æ ae ø oe œ oe þ th ð d à a á a â a ã a ā a ă a ą a ç c ć c č c
ĉ c ċ c ď d đ d è e é e ê e ë e ē e ė e ę e ě e ğ g ĝ g ģ g ħ h ì i í i î i ï i ī i į i
ı i ķ k ĺ l ľ l ļ l ł l ñ n ń n ň n ņ n ò o ó o ô o õ o ō o ő o ŕ r ř r ś s š s ş s ș s
ť t ţ t ț t ù u ú u û u ū u ů u ű u ų u ý y ÿ y ź z ž z ż z а a б b в v г g д d е e ё e
ж zh з z и i й i к k л l м m н n о o п p р r с s т t у u ф f х kh ц ts ч ch ш sh щ shch
ъ - ы y ь - э e ю yu я ya є ye і i ї yi ґ g α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l
μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω o ά a έ e ή i ί i ό o ύ y ώ o
° deg µ u ² 2 ³ 3 ₂ 2 % pct & and + plus Ω ohm
`)

func pairs(text string) map[rune]string {
	words := strings.Fields(text)
	all := make(map[rune]string, len(words))
	for i := 0; i+1 < len(words); i += 2 {
		r, _ := utf8.DecodeRuneInString(words[i])
		latin := strings.Trim(words[i+1], "-") // a sign without a sound
		all[r] = latin
		if upper := []rune(strings.ToUpper(words[i])); len(upper) == 1 && upper[0] != r {
			all[upper[0]] = strings.ToUpper(latin[:min(1, len(latin))]) + latin[min(1, len(latin)):]
		}
	}
	return all
}

// transliterate writes in our letters what it knows; the rest becomes one '_' a
// letter.
func transliterate(s string) string {
	var b strings.Builder
	for _, r := range s {
		latin, known := letters[r]
		switch {
		case known:
			b.WriteString(latin)
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}
