package page

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fieldbridge/order"
)

// Language is one that the page speaks.
type Language string

// The languages.
const (
	English Language = "en"
	German  Language = "de"
)

// Prefer returns the language that a browser asks for by an Accept-Language header
// (RFC 9110, section 12.5.4); English if it asks for none of those that there are.
func Prefer(header string) Language {
	type wish struct {
		language Language
		weight   float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(header, ",") {
		tag, weight, weighed := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		w := wish{Language(tag[:min(2, len(tag))]), 1}
		if weighed {
			w.weight, _ = strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64) // 0 if it is none
		}
		if (w.language == English || w.language == German) && (len(tag) == 2 || tag[2] == '-') && w.weight > 0 {
			wishes = append(wishes, w)
		}
	}
	order.Stably(wishes, func(a, b wish) int { return cmp.Compare(b.weight, a.weight) })
	if len(wishes) == 0 {
		return English
	}
	return wishes[0].language
}

// say returns a text of the page with what stands for %s and the like.
func (l Language) say(text string, args ...any) string {
	if l == German {
		if translated, ok := german[text]; ok {
			text = translated
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// count returns a number of things: one is for 1, many for others, both with %s.
func (l Language) count(n int, one, many string) string {
	if n == 1 {
		return l.say(one, "1")
	}
	return l.say(many, number(uint64(max(n, 0))))
}

// span returns a length of time as people say it, in two units at most.
func (l Language) span(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return l.say("%d s", s)
	case s < 600 && s%60 != 0:
		return l.say("%d min %d s", s/60, s%60)
	case s < 3600:
		return l.say("%d min", s/60)
	case s < 48*3600 && s%3600/60 != 0:
		return l.say("%d h %d min", s/3600, s%3600/60)
	case s < 48*3600:
		return l.say("%d h", s/3600)
	}
	return l.say("%d days", s/86400)
}

// number groups the digits of n by threes, with narrow spaces as SI has them: they
// mean the same in every language.
func number(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// size returns bytes as people say them.
func size(n int64) string {
	v, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	if i > 0 && v < 10 {
		return fmt.Sprintf("%.1f %s", v, units[i])
	}
	return fmt.Sprintf("%.0f %s", v, units[i])
}

// short returns a number with no more digits than a person reads at a glance: three
// behind the point, or four that count of a small one. Texts and integers are as
// they are.
func short(text string) string {
	whole, part, ok := strings.Cut(text, ".")
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case !ok || err != nil || strings.ContainsAny(part, "eE"):
		return text
	case strings.TrimLeft(whole, "-0") == "":
		if len(strings.TrimLeft(part, "0")) <= 4 {
			return text
		}
		return strconv.FormatFloat(v, 'g', 4, 64)
	case len(part) <= 3:
		return text
	}
	text = strings.TrimRight(strconv.FormatFloat(v, 'f', 3, 64), "0")
	return strings.TrimSuffix(text, ".")
}

// natural compares names as people sort them: a run of digits is a number.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		if digit(x[0]) && digit(y[0]) {
			m, n := digits(x), digits(y)
			p, q := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
			if c := cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q)); c != 0 {
				return c
			}
			x, y = x[m:], y[n:]
			continue
		}
		if c := cmp.Compare(x[0], y[0]); c != 0 {
			return c
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) (n int) {
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}
