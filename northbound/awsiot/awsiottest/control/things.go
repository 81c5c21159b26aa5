package control

import (
	"strings"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

type thingRequest struct {
	Type       string `json:"thingTypeName"`
	Attributes struct {
		Attributes map[string]string `json:"attributes"`
		Merge      bool              `json:"merge"`
	} `json:"attributePayload"`
	Expected   *int64 `json:"expectedVersion"`
	RemoveType bool   `json:"removeThingType"`
}

var thingRoutes = map[string]handler{
	"POST /things/{name}": func(c *call) (any, error) {
		var q thingRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		name := c.PathValue("name")
		err := c.Registry.AddThing(registry.Thing{Name: name, Type: q.Type, Attributes: q.Attributes.Attributes})
		return fields{"thingName": name, "thingArn": arnPrefix + "thing/" + name, "thingId": name}, err
	},
	"GET /things/{name}": func(c *call) (any, error) {
		t, ok := c.Registry.Thing(c.PathValue("name"))
		if !ok {
			return nil, notFound("thing", c.PathValue("name"))
		}
		return describeThing(t), nil
	},
	"PATCH /things/{name}": updateThing,
	"DELETE /things/{name}": func(c *call) (any, error) {
		if _, ok := c.Registry.Thing(c.PathValue("name")); !ok {
			return nil, nil // AWS says nothing either
		}
		return nil, c.Registry.DeleteThing(c.PathValue("name"))
	},
	"GET /things": func(c *call) (any, error) {
		q := c.URL.Query()
		things := []fields{}
		for _, name := range c.Registry.Things() {
			t, _ := c.Registry.Thing(name)
			if a := q.Get("attributeName"); a != "" && t.Attributes[a] != q.Get("attributeValue") ||
				q.Get("thingTypeName") != "" && t.Type != q.Get("thingTypeName") {
				continue
			}
			things = append(things, describeThing(t))
		}
		part, next := page(c, things, "maxResults", "nextToken")
		return listed("things", part, "nextToken", next), nil
	},
	"PUT /things/{name}/principals": func(c *call) (any, error) {
		exclusive := c.URL.Query().Get("thingPrincipalType") == "EXCLUSIVE_THING"
		return nil, c.Registry.Attach(nameOf(c.Header.Get("X-Amzn-Principal")), c.PathValue("name"), exclusive)
	},
	"DELETE /things/{name}/principals": func(c *call) (any, error) {
		return nil, c.Registry.Detach(nameOf(c.Header.Get("X-Amzn-Principal")), c.PathValue("name"))
	},
	"GET /things/{name}/principals": func(c *call) (any, error) {
		arns := []string{}
		for _, id := range c.Registry.Principals(c.PathValue("name")) {
			arns = append(arns, arnPrefix+"cert/"+id)
		}
		part, next := page(c, arns, "maxResults", "nextToken")
		return listed("principals", part, "nextToken", next), nil
	},
	"GET /principals/things": func(c *call) (any, error) {
		cert, _ := c.Registry.Certificate(nameOf(c.Header.Get("X-Amzn-Principal")))
		names := []string{}
		for _, a := range cert.Things {
			names = append(names, a.Thing)
		}
		part, next := page(c, names, "maxResults", "nextToken")
		return listed("things", part, "nextToken", next), nil
	},
	"POST /thing-types/{name}": func(c *call) (any, error) {
		var q struct {
			Properties map[string]any `json:"thingTypeProperties"`
		}
		if err := c.read(&q); err != nil {
			return nil, err
		}
		name := c.PathValue("name")
		return fields{"thingTypeName": name, "thingTypeArn": arnPrefix + "thingtype/" + name, "thingTypeId": name},
			c.Registry.AddType(name, q.Properties)
	},
	"GET /thing-types/{name}": func(c *call) (any, error) {
		name := c.PathValue("name")
		properties, ok := c.Registry.Type(name)
		if !ok {
			return nil, notFound("thing type", name)
		}
		return describeType(name, properties), nil
	},
	"GET /thing-types": func(c *call) (any, error) {
		types := []fields{}
		for _, name := range c.Registry.Types() {
			properties, _ := c.Registry.Type(name)
			types = append(types, describeType(name, properties))
		}
		part, next := page(c, types, "maxResults", "nextToken")
		return listed("thingTypes", part, "nextToken", next), nil
	},
}

func describeThing(t registry.Thing) fields {
	f := fields{"defaultClientId": t.Name, "thingName": t.Name, "thingId": t.Name,
		"thingArn": arnPrefix + "thing/" + t.Name, "attributes": t.Attributes, "version": t.Version}
	if t.Attributes == nil {
		f["attributes"] = fields{}
	}
	if t.Type != "" {
		f["thingTypeName"] = t.Type
	}
	return f
}

func describeType(name string, properties map[string]any) fields {
	return fields{"thingTypeName": name, "thingTypeArn": arnPrefix + "thingtype/" + name, "thingTypeId": name,
		"thingTypeProperties": properties, "thingTypeMetadata": fields{"deprecated": false}}
}

func updateThing(c *call) (any, error) {
	var q thingRequest
	if err := c.read(&q); err != nil {
		return nil, err
	}
	have, _ := c.Registry.Thing(c.PathValue("name"))
	if q.Expected != nil && *q.Expected != have.Version {
		return nil, &registry.Error{Code: "VersionConflictException", Text: "the thing has another version"}
	}
	return nil, c.Registry.ChangeThing(c.PathValue("name"), func(t *registry.Thing) {
		if q.Type != "" {
			t.Type = q.Type
		}
		if q.RemoveType {
			t.Type = ""
		}
		if q.Attributes.Attributes == nil {
			return
		}
		next := map[string]string{}
		if q.Attributes.Merge {
			for k, v := range t.Attributes {
				next[k] = v
			}
		}
		for k, v := range q.Attributes.Attributes {
			if next[k] = v; v == "" {
				delete(next, k)
			}
		}
		t.Attributes = next
	})
}

type groupRequest struct {
	Properties struct {
		Payload struct {
			Attributes map[string]string `json:"attributes"`
		} `json:"attributePayload"`
	} `json:"thingGroupProperties"`
	Query string `json:"queryString"`
}

type membership struct {
	Group    string `json:"thingGroupName"`
	GroupARN string `json:"thingGroupArn"`
	Thing    string `json:"thingName"`
	ThingARN string `json:"thingArn"`
}

// names returns the group and the thing, by name or by ARN.
func (m *membership) names() (group, thing string) {
	return nameOf(m.Group + m.GroupARN), nameOf(m.Thing + m.ThingARN)
}

func createGroup(c *call) (any, error) {
	var q groupRequest
	if err := c.read(&q); err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	err := c.Registry.AddGroup(registry.Group{Name: name, Query: q.Query, Attributes: q.Properties.Payload.Attributes})
	return fields{"thingGroupName": name, "thingGroupArn": arnPrefix + "thinggroup/" + name, "thingGroupId": name}, err
}

func member(do func(c *call, group, thing string) error) handler {
	return func(c *call) (any, error) {
		var m membership
		if err := c.read(&m); err != nil {
			return nil, err
		}
		group, thing := m.names()
		return nil, do(c, group, thing)
	}
}

var groupRoutes = map[string]handler{
	"POST /thing-groups/{name}":         createGroup,
	"POST /dynamic-thing-groups/{name}": createGroup,
	"GET /thing-groups/{name}": func(c *call) (any, error) {
		g, ok := c.Registry.Group(c.PathValue("name"))
		if !ok {
			return nil, notFound("thing group", c.PathValue("name"))
		}
		f := fields{"thingGroupName": g.Name, "thingGroupId": g.Name, "thingGroupArn": arnPrefix + "thinggroup/" + g.Name,
			"version": 1, "thingGroupProperties": fields{"attributePayload": fields{"attributes": g.Attributes}}}
		if g.Query != "" {
			f["queryString"], f["indexName"], f["status"] = g.Query, "AWS_Things", "ACTIVE"
		}
		return f, nil
	},
	"GET /thing-groups": func(c *call) (any, error) { return listGroups(c, "") },
	"GET /things/{name}/thing-groups": func(c *call) (any, error) {
		if _, ok := c.Registry.Thing(c.PathValue("name")); !ok {
			return nil, notFound("thing", c.PathValue("name"))
		}
		return listGroups(c, c.PathValue("name"))
	},
	"DELETE /thing-groups/{name}": func(c *call) (any, error) {
		c.Registry.DeleteGroup(c.PathValue("name"))
		return nil, nil
	},
	"PUT /thing-groups/addThingToThingGroup": member(func(c *call, group, thing string) error {
		return c.Registry.Join(group, thing)
	}),
	"PUT /thing-groups/removeThingFromThingGroup": member(func(c *call, group, thing string) error {
		return c.Registry.Leave(group, thing)
	}),
	"GET /thing-groups/{name}/things": func(c *call) (any, error) {
		g, ok := c.Registry.Group(c.PathValue("name"))
		if !ok {
			return nil, notFound("thing group", c.PathValue("name"))
		}
		if g.Query != "" {
			things, err := find(c, g.Query)
			if err != nil {
				return nil, err
			}
			g.Things = things
		}
		part, next := page(c, g.Things, "maxResults", "nextToken")
		return listed("things", part, "nextToken", next), nil
	},
}

func listGroups(c *call, thing string) (any, error) {
	groups := []fields{}
	for _, name := range c.Registry.Groups(thing) {
		if strings.HasPrefix(name, c.URL.Query().Get("namePrefixFilter")) {
			groups = append(groups, fields{"groupName": name, "groupArn": arnPrefix + "thinggroup/" + name})
		}
	}
	part, next := page(c, groups, "maxResults", "nextToken")
	return listed("thingGroups", part, "nextToken", next), nil
}
