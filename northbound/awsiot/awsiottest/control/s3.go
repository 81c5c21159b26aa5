package control

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// object is a file in a bucket.
type object struct {
	data []byte
	tag  string
	at   time.Time
	kind string // content type
}

// location is where a file of a stream lies.
type location struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

func (c *call) object(bucket, key string) (object, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[bucket+"/"+key]
	return o, ok
}

// locate finds bucket and key in an S3 URL: with the bucket in its path or in its
// host.
func (s *Server) locate(text string) (bucket, key string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", &registry.Error{Code: "InvalidRequestException", Text: err.Error()}
	}
	path := strings.TrimPrefix(u.Path, "/")
	if host, _, in := strings.Cut(u.Hostname(), ".s3"); in && host != "" {
		return host, path, nil
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key, nil
}

// presigned returns a URL by which a device may fetch an object for a while.
func (s *Server) presigned(source string, life time.Duration) string {
	bucket, key, err := s.locate(source)
	at := cmp.Or(s.Files, s.URL)
	base, berr := url.Parse(at)
	if err != nil || berr != nil || len(s.Keys) == 0 {
		return source
	}
	return at + presign(s.Keys[0], Region, base.Host, "/"+bucket+"/"+key, time.Now(), life)
}

// serveS3 is path-style S3: buckets, and objects that are put, fetched and listed.
func (s *Server) serveS3(w http.ResponseWriter, r *http.Request, body []byte) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	what := r.Method + " object"
	if key == "" {
		what = r.Method + " bucket"
	}
	if err := s.count(r, "S3 "+what, nil); err != nil {
		refuseS3(w, err)
		return
	}
	s.mu.Lock()
	o, exists := s.objects[bucket+"/"+key]
	there := s.buckets[bucket]
	s.mu.Unlock()
	if there && exists && (what == "GET object" || what == "HEAD object") {
		s.give(w, r, o)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case what == "PUT bucket":
		s.buckets[bucket] = true
	case !s.buckets[bucket]:
		refuseS3(w, denied("NoSuchBucket", "The specified bucket does not exist"))
	case what == "HEAD bucket":
	case what == "GET bucket":
		s.listLocked(w, r, bucket)
	case what == "PUT object":
		if strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") ||
			strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
			var err error
			if body, err = unchunk(body); err != nil {
				refuseS3(w, err)
				return
			}
		}
		w.Header().Set("ETag", s.putLocked(bucket, key, body, r.Header.Get("Content-Type")))
	case what == "DELETE object":
		delete(s.objects, bucket+"/"+key)
		w.WriteHeader(http.StatusNoContent)
	case !exists:
		refuseS3(w, denied("NoSuchKey", "The specified key does not exist."))
	default:
		refuseS3(w, denied("MethodNotAllowed", "not allowed"))
	}
}

// Put puts an object in a bucket, which it makes.
func (s *Server) Put(bucket, key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[bucket] = true
	s.putLocked(bucket, key, data, "")
}

func (s *Server) putLocked(bucket, key string, data []byte, kind string) (tag string) {
	sum := md5.Sum(data)
	tag = `"` + hex.EncodeToString(sum[:]) + `"`
	s.objects[bucket+"/"+key] = object{data: slices.Clone(data), tag: tag, at: time.Now(), kind: kind}
	return tag
}

// give sends an object to who may be slow: nobody else waits for it.
func (s *Server) give(w http.ResponseWriter, r *http.Request, o object) {
	w.Header().Set("ETag", o.tag)
	if o.kind != "" {
		w.Header().Set("Content-Type", o.kind)
	}
	http.ServeContent(&giver{w, s, 0}, r, "", o.at, bytes.NewReader(o.data))
}

// giver counts what is given of an object, and cuts the connection on demand.
type giver struct {
	http.ResponseWriter
	s     *Server
	given int
}

func (g *giver) Write(data []byte) (n int, err error) {
	g.s.mu.Lock()
	cut := g.s.cut
	g.s.mu.Unlock()
	if cut > 0 && g.given+len(data) > cut {
		data = data[:cut-g.given]
	}
	n, err = g.ResponseWriter.Write(data)
	g.given += n
	g.s.mu.Lock()
	g.s.given += int64(n)
	g.s.mu.Unlock()
	if cut > 0 && g.given >= cut {
		_ = http.NewResponseController(g.ResponseWriter).Flush() // what was given arrives
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// Given returns how many bytes of objects were given so far.
func (s *Server) Given() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given
}

// Cut has each connection that an object is given by end after so many bytes of it; 0
// is none.
func (s *Server) Cut(after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = after
}

func refuseS3(w http.ResponseWriter, err error) {
	code, text := "InternalError", err.Error()
	status := 500
	if e, ok := err.(*registry.Error); ok {
		code, text, status = e.Code, e.Text, statuses[e.Code]
		if status == 0 {
			status = 400
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_ = writeXML(w, struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: text})
}

func writeXML(w http.ResponseWriter, v any) error {
	_, _ = fmt.Fprint(w, xml.Header)
	return xml.NewEncoder(w).Encode(v)
}

type content struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
}

func (s *Server) listLocked(w http.ResponseWriter, r *http.Request, bucket string) {
	w.Header().Set("Content-Type", "application/xml")
	if bucket == "" || r.URL.Query().Has("location") {
		_ = writeXML(w, struct {
			XMLName xml.Name `xml:"LocationConstraint"`
			Region  string   `xml:",chardata"`
		}{Region: Region})
		return
	}
	list := struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		Name        string
		Prefix      string
		KeyCount    int
		MaxKeys     int
		IsTruncated bool
		Contents    []content
	}{Name: bucket, Prefix: r.URL.Query().Get("prefix"), MaxKeys: 1000}
	for name, o := range s.objects {
		if key, ok := strings.CutPrefix(name, bucket+"/"); ok && strings.HasPrefix(key, list.Prefix) {
			at := o.at.UTC().Format("2006-01-02T15:04:05.000Z")
			list.Contents = append(list.Contents, content{key, at, o.tag, len(o.data)})
		}
	}
	slices.SortFunc(list.Contents, func(a, b content) int { return strings.Compare(a.Key, b.Key) })
	list.KeyCount = len(list.Contents)
	_ = writeXML(w, list)
}

type streamRequest struct {
	Description string `json:"description"`
	Role        string `json:"roleArn"`
	Files       []struct {
		ID       int      `json:"fileId"`
		Location location `json:"s3Location"`
	} `json:"files"`
}

// putStream is CreateStream and UpdateStream.
func putStream(exists bool) handler {
	return func(c *call) (any, error) {
		id := c.PathValue("id")
		var q streamRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		if have, ok := c.Streams.Get(id); ok != exists {
			if exists {
				return nil, notFound("stream", id)
			}
			return nil, &registry.Error{Code: "ResourceAlreadyExistsException", Text: "stream " + have.ID + " exists"}
		}
		st := streams.Stream{ID: id, Description: q.Description, Role: q.Role, Files: map[int]streams.Object{}}
		places := map[int]location{}
		for _, f := range q.Files {
			places[f.ID] = f.Location
			st.Files[f.ID] = func() ([]byte, string, bool) {
				o, ok := c.object(f.Location.Bucket, f.Location.Key)
				return o.data, o.tag, ok
			}
		}
		if err := c.Streams.Put(st); err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.locations[id] = places
		c.mu.Unlock()
		st, _ = c.Streams.Get(id)
		return describeStream(st), nil
	}
}

func describeStream(st streams.Stream) fields {
	return fields{"streamId": st.ID, "streamArn": arnPrefix + "stream/" + st.ID, "description": st.Description,
		"streamVersion": st.Version}
}

var streamRoutes = map[string]handler{
	"POST /streams/{id}": putStream(false),
	"PUT /streams/{id}":  putStream(true),
	"GET /streams/{id}": func(c *call) (any, error) {
		st, ok := c.Streams.Get(c.PathValue("id"))
		if !ok {
			return nil, notFound("stream", c.PathValue("id"))
		}
		f := describeStream(st)
		files := []fields{}
		c.mu.Lock()
		for id, place := range c.locations[st.ID] {
			files = append(files, fields{"fileId": id, "s3Location": place})
		}
		c.mu.Unlock()
		f["files"], f["roleArn"] = files, st.Role
		return fields{"streamInfo": f}, nil
	},
	"DELETE /streams/{id}": func(c *call) (any, error) {
		if _, ok := c.Streams.Get(c.PathValue("id")); !ok {
			return nil, notFound("stream", c.PathValue("id"))
		}
		c.Streams.Delete(c.PathValue("id"))
		return nil, nil
	},
	"GET /streams": func(c *call) (any, error) {
		all := []fields{}
		for _, id := range c.Streams.All() {
			st, _ := c.Streams.Get(id)
			all = append(all, describeStream(st))
		}
		part, next := page(c, all, "maxResults", "nextToken")
		return listed("streams", part, "nextToken", next), nil
	},
}
