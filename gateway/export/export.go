// Package export writes batches as files for people and other programs.
package export

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"

	"fieldbridge/bridge"
)

// Formats are the formats of [New].
var Formats = []string{"csv", "jsonl", "sitewise"}

// Writer writes batches to a file for people and other programs.
type Writer struct {
	gateway string
	format  string
	out     *bufio.Writer
	csv     *csv.Writer
	line    []byte
}

// New returns a writer to w in one of [Formats]:
//
//   - csv: a reading a line, with a line of headings;
//   - jsonl: a batch a line, as the cloud gets it in the format rows;
//   - sitewise: the CSV that a bulk import job of AWS IoT SiteWise takes, a
//     reading a line without headings. The alias is /gateway/device/point; bad
//     readings have no value, and are left out.
func New(w io.Writer, format, gateway string) (*Writer, error) {
	if !slices.Contains(Formats, format) {
		return nil, fmt.Errorf("export: format %q is not known: use csv, jsonl or sitewise", format)
	}
	x := &Writer{gateway: gateway, format: format, out: bufio.NewWriterSize(w, 64<<10)}
	x.csv = csv.NewWriter(x.out)
	if format == "csv" {
		return x, x.csv.Write([]string{"time", "gateway", "run", "seq", "device", "point", "value", "quality"})
	}
	return x, nil
}

// Write writes entries.
func (x *Writer) Write(entries []bridge.Entry) error {
	for i := range entries {
		var err error
		switch x.format {
		case "csv":
			err = x.writeCSV(&entries[i])
		case "sitewise":
			err = x.writeSiteWise(&entries[i])
		default:
			err = x.writeJSON(&entries[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Flush writes what is buffered.
func (x *Writer) Flush() error {
	x.csv.Flush()
	if err := x.csv.Error(); err != nil {
		return err
	}
	return x.out.Flush()
}

func (x *Writer) writeCSV(e *bridge.Entry) error {
	record := []string{e.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), x.gateway, e.Run, strconv.FormatUint(e.Seq, 10), e.Device, "", "", ""}
	for _, r := range e.Readings {
		record[5], record[6], record[7] = r.Point, "", "good"
		if r.Value.Good() {
			record[6] = r.Value.String()
		} else {
			record[7] = r.Value.Reason().String()
		}
		if err := x.csv.Write(record); err != nil {
			return err
		}
	}
	return nil
}

// siteWiseTypes are the data types of SiteWise.
var siteWiseTypes = map[bridge.Kind]string{bridge.KindBool: "BOOLEAN", bridge.KindInt: "INTEGER", bridge.KindUint: "INTEGER",
	bridge.KindFloat32: "DOUBLE", bridge.KindFloat64: "DOUBLE", bridge.KindString: "STRING"}

// writeSiteWise writes ALIAS, DATA_TYPE, TIMESTAMP_SECONDS,
// TIMESTAMP_NANO_OFFSET, QUALITY, VALUE (AWS IoT SiteWise User Guide, "Create a
// bulk import job"). Its integers have 32 bits: larger ones go as doubles.
func (x *Writer) writeSiteWise(e *bridge.Entry) error {
	for _, r := range e.Readings {
		if !r.Value.Good() {
			continue
		}
		kind := siteWiseTypes[r.Value.Kind()]
		if f, ok := r.Value.Float(); ok && kind == "INTEGER" && (f > 1<<31-1 || f < -1<<31) {
			kind = "DOUBLE"
		}
		if err := x.csv.Write([]string{"/" + x.gateway + "/" + e.Device + "/" + r.Point, kind, strconv.FormatInt(e.At.Unix(), 10),
			strconv.Itoa(e.At.Nanosecond()), "GOOD", r.Value.String()}); err != nil {
			return err
		}
	}
	return nil
}

func (x *Writer) writeJSON(e *bridge.Entry) error {
	b := append(x.line[:0], `{"v":1,"gateway":`...)
	b = strconv.AppendQuoteToASCII(b, x.gateway) // a thing name: it needs no escapes
	b = fmt.Appendf(b, `,"run":%q,"seq":%d,"device":%q,"at":%d`, e.Run, e.Seq, e.Device, e.At.UnixMilli())
	if e.Unsynced {
		b = append(b, `,"clock":"unsynced"`...)
	}
	b = append(b, `,"points":{`...)
	b, bad := x.appendPoints(b, e.Readings)
	b = append(b, '}')
	if bad > 0 {
		b = append(b, `,"bad":{`...)
		n := 0
		for _, r := range e.Readings {
			if !r.Value.Good() {
				if n++; n > 1 {
					b = append(b, ',')
				}
				b = fmt.Appendf(b, "%q:%q", r.Point, r.Value.Reason())
			}
		}
		b = append(b, '}')
	}
	x.line = append(b, '}', '\n')
	_, err := x.out.Write(x.line)
	return err
}

func (x *Writer) appendPoints(b []byte, readings []bridge.Reading) (_ []byte, bad int) {
	n := 0
	for _, r := range readings {
		if !r.Value.Good() {
			bad++
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%q:", r.Point)
		if r.Value.Kind() == bridge.KindString {
			b = appendJSONString(b, r.Value.Str())
		} else {
			b = r.Value.AppendNumber(b)
		}
	}
	return b, bad
}

// appendJSONString appends s, which is valid UTF-8, as a JSON string.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
