package control

import (
	"encoding/json"
	"net/http"
	"strings"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// onJobs sends a request to the Jobs service as a thing would, and returns the
// answer.
func onJobs(what func(c *call) string) handler {
	return func(c *call) (any, error) {
		topic := "$aws/things/" + c.PathValue("name") + "/jobs/" + what(c)
		var answer map[string]any
		rejected := false
		from := service.Caller{Thing: c.PathValue("name"), Unasked: func(at string, payload []byte) {
			rejected = strings.HasSuffix(at, "/rejected")
			_ = json.Unmarshal(payload, &answer) // it was made by us
		}}
		c.Jobs.Request(from, topic, c.body)
		if rejected {
			code, _ := answer["code"].(string)
			text, _ := answer["message"].(string)
			return nil, &registry.Error{Code: code + "Exception", Text: text}
		}
		// By HTTP the document is a text.
		for _, holder := range []any{answer, answer["execution"]} {
			if m, ok := holder.(map[string]any); ok && m["jobDocument"] != nil {
				text, err := json.Marshal(m["jobDocument"])
				if err != nil {
					return nil, err
				}
				m["jobDocument"] = string(text)
			}
		}
		return answer, nil
	}
}

// administrative is the reason of a DISCONNECT that DeleteConnection sends (MQTT 5,
// section 3.14.2.1).
const administrative = 0x98

var dataRoutes = map[string]handler{
	"GET /things/{name}/jobs":       onJobs(func(*call) string { return "get" }),
	"PUT /things/{name}/jobs/$next": onJobs(func(*call) string { return "start-next" }),
	"GET /things/{name}/jobs/{id}":  onJobs(func(c *call) string { return c.PathValue("id") + "/get" }),
	"POST /things/{name}/jobs/{id}": onJobs(func(c *call) string { return c.PathValue("id") + "/update" }),
	"GET /things/{name}/shadow": func(c *call) (any, error) {
		doc := c.Broker.Shadow(c.PathValue("name"), c.URL.Query().Get("name"))
		if string(doc) == "null" {
			return nil, notFound("shadow of", c.PathValue("name"))
		}
		return fields{"state": json.RawMessage(doc)}, nil
	},
	"POST /things/{name}/shadow": func(c *call) (any, error) {
		if !json.Valid(c.body) {
			return nil, &registry.Error{Code: "InvalidRequestException", Text: "it is not JSON"}
		}
		c.Broker.UpdateShadow(c.PathValue("name"), c.URL.Query().Get("name"), string(c.body))
		return json.RawMessage(c.body), nil
	},
	"DELETE /connections/{client}": func(c *call) (any, error) {
		if !c.Broker.Disconnect(c.PathValue("client"), administrative) {
			return nil, notFound("connection of", c.PathValue("client"))
		}
		return nil, nil
	},
	"POST /topics/{topic...}": func(c *call) (any, error) {
		if err := c.Broker.Publish(c.PathValue("topic"), c.body); err != nil {
			return nil, &registry.Error{Code: "InternalFailureException", Text: err.Error()}
		}
		return nil, nil
	},
}

var _ http.Handler = (*Server)(nil)
