// Package export writes batches as files for people and other programs.
package export

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// Formats are the formats of [New].
var Formats = []string{"csv", "jsonl", "sitewise"}

// ErrWhose is why what says not who measured it cannot be written without a name.
var ErrWhose = errors.New(
	"whose readings are these? name the configuration instead of the folder, or add --gateway NAME")

// Writer writes batches to a file for people and other programs.
type Writer struct {
	gateway string // whose a batch is that does not say so
	format  string
	out     *bufio.Writer
	csv     *csv.Writer
	line    []byte
}

// New returns a writer to w in one of [Formats]. Each batch is written as that of the
// gateway that measured it, or of the one named here if it says nothing of that; then
// there must be a name.
//
//   - csv: a reading a line, with a line of headings;
//   - jsonl: a batch a line, as the cloud gets it in the format rows, without labels;
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
		if x.whose(&entries[i]) == "" {
			return ErrWhose
		}
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

// whose returns the name of the gateway that measured e.
func (x *Writer) whose(e *bridge.Entry) string {
	if e.Origin != nil {
		return cmp.Or(e.Origin.Gateway, x.gateway)
	}
	return x.gateway
}

func (x *Writer) writeCSV(e *bridge.Entry) error {
	record := []string{e.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), x.whose(e), e.Run,
		strconv.FormatUint(e.Seq, 10), e.Device, "", "", ""}
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
var siteWiseTypes = map[bridge.Kind]string{bridge.KindBool: "BOOLEAN", bridge.KindInt: "INTEGER",
	bridge.KindUint: "INTEGER", bridge.KindFloat32: "DOUBLE", bridge.KindFloat64: "DOUBLE", bridge.KindString: "STRING"}

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
		err := x.csv.Write([]string{"/" + x.whose(e) + "/" + e.Device + "/" + r.Point, kind,
			strconv.FormatInt(e.At.Unix(), 10), strconv.Itoa(e.At.Nanosecond()), "GOOD", r.Value.String()})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *Writer) writeJSON(e *bridge.Entry) error {
	x.line = append(payload.AppendAlone(x.line[:0], &bridge.Origin{Gateway: x.whose(e)}, e), '\n')
	_, err := x.out.Write(x.line)
	return err
}
