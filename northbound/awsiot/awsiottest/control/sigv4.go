package control

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Key is an access key.
type Key struct {
	ID, Secret string
	// Token is the session token of a short-lived key, "" for others.
	Token string
	// Expires is when a short-lived key ends; the zero time is never.
	Expires time.Time

	role string // that it was handed out for, which says what it may do; "" may do all
}

const (
	algorithm   = "AWS4-HMAC-SHA256"
	basicTime   = "20060102T150405Z"
	unsigned    = "UNSIGNED-PAYLOAD"
	maximumSkew = 15 * time.Minute
)

// scope is what a signature is good for.
type scope struct{ key, day, region, service string }

// signature is what a request says of itself.
type signature struct {
	scope
	headers []string // signed
	value   string
	at      time.Time
	expires time.Duration // of a presigned URL; 0 for a header
	token   string
}

func denied(code, text string) error { return &registry.Error{Code: code, Text: text} }

// readSignature finds the signature of a request, in its header or its query.
func readSignature(r *http.Request) (s signature, err error) {
	fields, when := map[string]string{}, r.Header.Get("X-Amz-Date")
	s.token = r.Header.Get("X-Amz-Security-Token")
	if header := r.Header.Get("Authorization"); header != "" {
		rest, ok := strings.CutPrefix(header, algorithm+" ")
		if !ok {
			return s, denied("IncompleteSignatureException", "the request is not signed with "+algorithm)
		}
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			fields[name] = value
		}
	} else {
		q := r.URL.Query()
		if q.Get("X-Amz-Algorithm") != algorithm {
			return s, denied("MissingAuthenticationTokenException", "the request is not signed")
		}
		for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
			fields[name] = q.Get("X-Amz-" + name)
		}
		when, s.token = q.Get("X-Amz-Date"), q.Get("X-Amz-Security-Token")
		seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
		if err != nil || seconds < 1 || seconds > 7*24*3600 {
			return s, denied("IncompleteSignatureException", "X-Amz-Expires is not 1 to 604,800")
		}
		s.expires = time.Duration(seconds) * time.Second
	}
	parts := strings.Split(fields["Credential"], "/")
	if len(parts) != 5 || parts[4] != "aws4_request" || fields["Signature"] == "" {
		return s, denied("IncompleteSignatureException", "the signature is not complete")
	}
	s.scope = scope{parts[0], parts[1], parts[2], parts[3]}
	s.headers, s.value = strings.Split(fields["SignedHeaders"], ";"), fields["Signature"]
	if s.at, err = time.Parse(basicTime, when); err != nil || s.at.Format("20060102") != s.day {
		return s, denied("IncompleteSignatureException", "X-Amz-Date is missing, or another day than the scope's")
	}
	return s, nil
}

// verify checks who has signed a request, over what, and when.
func verify(r *http.Request, body []byte, keys map[string]Key, now time.Time) (scope, error) {
	s, err := readSignature(r)
	if err != nil {
		return s.scope, err
	}
	key, known := keys[s.key]
	switch {
	case known && !key.Expires.IsZero() && now.After(key.Expires):
		return s.scope, denied("ExpiredTokenException", "the security token included in the request is expired")
	case !known || key.Token != s.token:
		return s.scope, denied("UnrecognizedClientException", "the security token included in the request is invalid")
	case s.expires == 0 && (now.Sub(s.at) > maximumSkew || s.at.Sub(now) > maximumSkew):
		return s.scope, denied("InvalidSignatureException", "the signature's time is more than 15 minutes from now")
	case s.expires > 0 && now.After(s.at.Add(s.expires)):
		return s.scope, denied("AccessDenied", "Request has expired")
	case !slices.Contains(s.headers, "host"):
		return s.scope, denied("InvalidSignatureException", "the host is not signed")
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	switch {
	case s.expires > 0:
		payload = unsigned
	case payload == "":
		payload = actual
	case payload == unsigned || strings.HasPrefix(payload, "STREAMING-"):
	case payload != actual:
		return s.scope, denied("InvalidSignatureException", "the body is not the one that was signed")
	}
	want := sign(key, s.scope, s.at, canonical(r, s, payload))
	if !hmac.Equal([]byte(want), []byte(s.value)) {
		return s.scope, denied("InvalidSignatureException", "the signature does not match")
	}
	return s.scope, nil
}

// canonical returns the canonical request (AWS General Reference, "Signature Version 4
// signing process").
func canonical(r *http.Request, s signature, payload string) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if s.service != "s3" {
		path = escape(path, true) // all but S3 escape twice
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, path, canonicalQuery(r.URL.Query()))
	for _, name := range s.headers {
		values := r.Header.Values(name)
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		for i := range values {
			values[i] = strings.Join(strings.Fields(values[i]), " ")
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(values, ","))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(s.headers, ";"), payload)
	return b.String()
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, v := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape is RFC 3986's, as Signature Version 4 wants it.
func escape(text string, slashes bool) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0,
			slashes && c == '/':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func sign(key Key, s scope, at time.Time, request string) string {
	sum := sha256.Sum256([]byte(request))
	text := strings.Join([]string{algorithm, at.Format(basicTime),
		strings.Join([]string{s.day, s.region, s.service, "aws4_request"}, "/"), hex.EncodeToString(sum[:])}, "\n")
	secret := []byte("AWS4" + key.Secret)
	for _, part := range []string{s.day, s.region, s.service, "aws4_request", text} {
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(part))
		secret = m.Sum(nil)
	}
	return hex.EncodeToString(secret)
}

// presign returns a URL by which anyone may GET an object for a while.
func presign(key Key, region, host, path string, at time.Time, life time.Duration) string {
	at = at.UTC()
	s := signature{scope: scope{key.ID, at.Format("20060102"), region, "s3"}, headers: []string{"host"}}
	q := url.Values{"X-Amz-Algorithm": {algorithm}, "X-Amz-Date": {at.Format(basicTime)},
		"X-Amz-Credential": {strings.Join([]string{s.key, s.day, s.region, s.service, "aws4_request"}, "/")},
		"X-Amz-Expires":    {strconv.Itoa(int(life / time.Second))}, "X-Amz-SignedHeaders": {"host"}}
	if key.Token != "" {
		q.Set("X-Amz-Security-Token", key.Token)
	}
	u := &url.URL{Path: path, RawPath: escape(path, true), RawQuery: canonicalQuery(q)}
	r := &http.Request{Method: http.MethodGet, Host: host, URL: u}
	return u.EscapedPath() + "?" + u.RawQuery + "&X-Amz-Signature=" + sign(key, s.scope, at, canonical(r, s, unsigned))
}

// unchunk returns the content of a body in aws-chunked encoding.
func unchunk(body []byte) ([]byte, error) {
	var out []byte
	for {
		line, rest, ok := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if !ok || err != nil || n+2 > uint64(len(rest)) && n > 0 {
			return nil, denied("IncompleteBody", "the body is not aws-chunked")
		}
		if n == 0 {
			return out, nil
		}
		out = append(out, rest[:n]...)
		body = rest[n+2:]
	}
}
