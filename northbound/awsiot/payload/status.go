package payload

import "encoding/json"

// Header is what every message about the gateway itself begins with.
type Header struct {
	V       int    `json:"v"`
	Gateway string `json:"gateway"`
	Run     string `json:"run"`
	Type    string `json:"type"`
	At      int64  `json:"at"` // epoch milliseconds
}

// Encode returns v as JSON. It is for our own structs of strings and numbers.
func Encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
