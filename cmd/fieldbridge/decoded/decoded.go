// Package decoded prints messages of format protobuf as JSON.
package decoded

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// longestLine is how long a message may be as text.
const longestLine = 4 << 20

// Print writes the messages of in as JSON of format rows, a line each. in is one message
// as it was published, or lines of messages in base64 or hexadecimal digits. Where lines
// are messages of the status topic, as in catalogues, numbers are learnt from them.
func Print(out io.Writer, in io.Reader, catalogues []string) error {
	var r payload.Reader
	for _, name := range catalogues {
		if err := learn(&r, name); err != nil {
			return err
		}
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if !isText(data) {
		return print(out, &r, data)
	}
	messages := 0
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || r.Learn(line) {
			continue
		}
		message, err := decode(line)
		if err != nil {
			return fmt.Errorf("%.40q is no message: give one as it was published, or in base64 or hexadecimal digits", line)
		}
		messages++
		if err := print(out, &r, message); err != nil {
			return err
		}
	}
	if messages == 0 {
		return errors.New("there is no message: give one as it was published, or in base64 or hexadecimal digits")
	}
	return nil
}

// isText reports whether data is lines of text: a message begins with a control character.
func isText(data []byte) bool {
	return bytes.IndexFunc(data, func(c rune) bool {
		return c > '~' || c < ' ' && c != '\n' && c != '\r' && c != '\t'
	}) < 0
}

// decode reads digits or base64.
func decode(line []byte) ([]byte, error) {
	if message, err := hex.DecodeString(string(line)); err == nil {
		return message, nil
	}
	return base64.StdEncoding.DecodeString(string(line))
}

func print(out io.Writer, r *payload.Reader, message []byte) error {
	rows, err := r.Rows(message)
	var unknown *proto.Unknown
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w: give what the status topic said, a message a line, with --catalog FILE; "+
			"the command {\"action\":\"rebirth\"} has the gateway say it again", err)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(append(rows, '\n'))
	return err
}

// learn reads a file with messages of the status topic. Lines may begin with the topic,
// as mosquitto_sub -v writes it; what is no catalogue is passed over.
func learn(r *payload.Reader, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	learnt := false
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if i := bytes.IndexByte(lines.Bytes(), '{'); i >= 0 && r.Learn(lines.Bytes()[i:]) {
			learnt = true
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !learnt {
		return fmt.Errorf("%s has no catalogue with numbers: those of a gateway with format protobuf have sheets", name)
	}
	return nil
}
