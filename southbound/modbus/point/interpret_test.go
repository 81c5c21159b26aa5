package point

import "testing"

func TestInterpret(t *testing.T) {
	got := make(map[string]string)
	for _, i := range Interpret([]byte{0x42, 0xab, 0x47, 0xae}) {
		got[i.Type+" "+i.Order] = i.Value.String()
	}
	for what, want := range map[string]string{"float32 ABCD": "85.64", "uint16 AB": "17067", "uint32 CDAB": "1202602667",
		"int16 BA": "-21694", "string BA": "«B®G",
		"int24 ABCD": "-5552210"} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
	// bcd16 float16 int16 signmag16 uint16 in 2, int24 uint24 and bcd32 float32 int32 mod10k32 signmag32 uint32 in 4,
	// string in 2
	if len(got) != 2*5+4*2+4*6+2 {
		t.Errorf("%d interpretations", len(got))
	}
}
