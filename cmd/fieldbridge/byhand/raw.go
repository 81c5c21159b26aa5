package byhand

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/southbound/modbus/wire"
)

// Raw sends a request PDU that is given in hexadecimal: the function and what
// follows it, without unit and checksum. Before one that may write it asks.
func (d *Desk) Raw(ctx context.Context, url, text string) error {
	pdu, err := hex.DecodeString(text)
	if err != nil {
		return misuse(fmt.Errorf("%q is not a request in hexadecimal: write 03 00 64 00 02 for holding 100 and 101",
			text))
	}
	m, err := d.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	if d.Ask != nil && mayWrite(pdu) {
		if !words.Asks(d.Ask) {
			return errNobody
		}
		if err := agreed(d, fmt.Sprintf("function %d may change something in unit %d on %s (%s). Send it?", pdu[0], d.Unit,
			url, wire.Explain(pdu))); err != nil {
			return err
		}
	}
	answer, err := m.Raw(ctx, d.Unit, pdu)
	var exception *wire.ExceptionError
	if err != nil && !errors.As(err, &exception) {
		return advised(err, url)
	}
	if d.JSON {
		out := map[string]any{"unit": d.Unit, "request": hex.EncodeToString(pdu), "answer": hex.EncodeToString(answer),
			"means": wire.Explain(answer)}
		if exception != nil {
			out["exception"] = exception.Code
		}
		if err := words.JSON(d.Data, out); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(d.Data, "% x\t%s\n", answer, wire.Explain(answer))
	}
	switch {
	case err == nil:
		return nil
	case exception.Code == 1: // the advice is of reads
		return err
	}
	return advised(err, url)
}
