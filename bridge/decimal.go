package bridge

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number, Coef times ten to the power of Exp, so
// that 213 scaled by 0.1 is 21.3 and not 21.300000000000001.
type Decimal struct {
	Coef int64
	Exp  int
}

var errDecimal = errors.New("not a decimal number: write it as 0.1, -40 or 2.5e-3, of at most 18 digits")

// UnmarshalText reads 0.1, -40, 2.5e-3.
func (d *Decimal) UnmarshalText(text []byte) error {
	s := string(text)
	mantissa, exponent, hasExp := strings.Cut(strings.ToLower(s), "e")
	exp := 0
	if hasExp {
		e, err := strconv.Atoi(exponent)
		if err != nil || e < -300 || e > 300 {
			return fmt.Errorf("%q is %w", s, errDecimal)
		}
		exp = e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	coef, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || len(strings.TrimLeft(whole+fraction, "+-0")) > 18 || (whole == "" && fraction == "") {
		return fmt.Errorf("%q is %w", s, errDecimal)
	}
	exp -= len(fraction)
	for coef != 0 && coef%10 == 0 {
		coef, exp = coef/10, exp+1
	}
	if coef == 0 {
		exp = 0
	}
	*d = Decimal{coef, exp}
	return nil
}

// String writes d as it is read.
func (d Decimal) String() string {
	return strconv.FormatFloat(d.Float(), 'g', -1, 64)
}

// Times returns d × 10^n as a whole number, and whether it is one of at most 18
// digits.
func (d Decimal) Times(n int) (int64, bool) {
	if d.Exp+n < 0 {
		return 0, d.Coef == 0
	}
	v, ok := shift(d.Coef, d.Exp+n)
	return v, ok && abs(v) < 1e18
}

// Float returns the nearest float64.
func (d Decimal) Float() float64 {
	f, err := strconv.ParseFloat(strconv.FormatInt(d.Coef, 10)+"e"+strconv.Itoa(d.Exp), 64)
	if err != nil {
		return 0 // cannot happen within UnmarshalText's limits, but for ranges near 1e300
	}
	return f
}
