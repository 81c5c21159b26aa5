// Package units knows units by the ways in which people write them. It is pure.
package units

import (
	"strings"
	"unicode/utf8"
)

// spelled are units as they are written here, and how people spell them otherwise.
var spelled = spellings(`
°C: c, celsius, cel, degc, deg c, degrees c, °celsius, ° c, grad
°F: f, fahrenheit, degf, deg f, degrees f, °fahrenheit, ° f
K: k, kelvin
°: deg, degree, degrees
%: percent, pct, % rh, %rh, rh%
V: v, volt, volts
A: a, amp, amps, ampere, amperes
W: w, watt, watts
kW: kw
Wh: wh
kWh: kwh
VA: va
kVA: kva
var: var
kvar: kvar
Hz: hz, hertz
Ω: ohm, ohms
kΩ: kohm
lx: lx, lux
hPa: hpa, mbar, millibar
kPa: kpa
bar: bar
ppm: ppm
ppb: ppb
dB: db
dBm: dbm
s: sec, secs, second, seconds
min: mins, minute, minutes
h: hour, hours
d: day, days
m: meter, meters, metre, metres
l: L, liter, liters, litre, litres
l/h: L/h
l/min: L/min
m3: m^3
m2: m^2
m3/h: m^3/h
km/h: kph
rpm: rpm, 1/min
`)

func spellings(text string) map[string]string {
	names := make(map[string]string)
	for line := range strings.Lines(text) {
		unit, others, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for other := range strings.SplitSeq(others, ", ") {
			names[other] = unit
		}
	}
	return names
}

// foldSigns makes one sign of those that look alike.
var foldSigns = strings.NewReplacer("℃", "°C", "℉", "°F", "º", "°", "˚", "°", "\u2126", "Ω",
	"\u00b5", "u", "\u03bc", "u", "³", "3", "²", "2", "\u00a0", " ", "\u202f", " ")

// unitName returns how a unit is written that may be written in several ways.
func unitName(unit string) string {
	if !utf8.ValidString(unit) { // a degree sign of ISO 8859-1
		unit = latin1(unit)
	}
	unit = strings.TrimSuffix(foldSigns.Replace(strings.TrimSpace(unit)), ".")
	if unit == "" {
		return ""
	}
	if name, ok := spelled[unit]; ok {
		return name
	}
	if name, ok := spelled[strings.ToLower(unit)]; ok && len(unit) > 1 {
		return name
	}
	switch unit {
	case "C", "F":
		return "°" + unit
	case "°c", "°f":
		return strings.ToUpper(unit)
	}
	return unit
}

// latin1 is a text of ISO 8859-1 in UTF-8.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// Same reports whether two units are the same, as °C, ℃, C and Celsius are.
func Same(a, b string) bool { return a == b || unitName(a) == unitName(b) }
