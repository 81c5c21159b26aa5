package control

import "strings"

// actions are the names that policies of IAM have for calls (Service Authorization
// Reference, AWS IoT and Amazon S3), of those that operators make.
var actions = map[string]string{
	"GET /indexing/config":                         "iot:GetIndexingConfiguration",
	"GET /jobs":                                    "iot:ListJobs",
	"GET /jobs/{id}":                               "iot:DescribeJob",
	"GET /jobs/{id}/things":                        "iot:ListJobExecutionsForJob",
	"GET /policies/{name}":                         "iot:GetPolicy",
	"GET /policies/{name}/version":                 "iot:ListPolicyVersions",
	"GET /provisioning-templates/{name}":           "iot:DescribeProvisioningTemplate",
	"GET /streams/{id}":                            "iot:DescribeStream",
	"GET /thing-groups/{name}":                     "iot:DescribeThingGroup",
	"GET /thing-groups/{name}/things":              "iot:ListThingsInThingGroup",
	"GET /thing-types/{name}":                      "iot:DescribeThingType",
	"GET /things":                                  "iot:ListThings",
	"GET /things/{name}":                           "iot:DescribeThing",
	"GET /things/{name}/jobs":                      "iot:ListJobExecutionsForThing",
	"GET /things/{name}/jobs/{id}":                 "iot:DescribeJobExecution",
	"DELETE /policies/{name}/version/{version}":    "iot:DeletePolicyVersion",
	"POST /indexing/config":                        "iot:UpdateIndexingConfiguration",
	"POST /indices/search":                         "iot:SearchIndex",
	"POST /policies/{name}":                        "iot:CreatePolicy",
	"POST /policies/{name}/version":                "iot:CreatePolicyVersion",
	"POST /provisioning-templates":                 "iot:CreateProvisioningTemplate",
	"POST /provisioning-templates/{name}/versions": "iot:CreateProvisioningTemplateVersion",
	"POST /streams/{id}":                           "iot:CreateStream",
	"POST /thing-groups/{name}":                    "iot:CreateThingGroup",
	"POST /thing-types/{name}":                     "iot:CreateThingType",
	"POST /things/{name}":                          "iot:CreateThing",
	"PUT /jobs/{id}":                               "iot:CreateJob",
	"PUT /streams/{id}":                            "iot:UpdateStream",
	"PUT /jobs/{id}/cancel":                        "iot:CancelJob",
	"PUT /thing-groups/addThingToThingGroup":       "iot:AddThingToThingGroup",
	"S3 PUT object":                                "s3:PutObject",
	"S3 GET object":                                "s3:GetObject",
	"S3 HEAD object":                               "s3:GetObject",
	"S3 GET bucket":                                "s3:ListBucket",
	"S3 HEAD bucket":                               "s3:ListBucket",
	"S3 PUT bucket":                                "s3:CreateBucket",
}

// actionsOf returns what a caller must be allowed for a call. body is the request's.
func actionsOf(pattern string, body []byte) []string {
	name := actions[pattern]
	if name == "" {
		name = pattern // of IAM and STS, and of those that no operator makes
	}
	// Who gives a role to a service must be allowed to.
	if strings.Contains(string(body), `"roleArn":"`) || strings.Contains(string(body), `"provisioningRoleArn":"`) {
		return []string{name, "iam:PassRole"}
	}
	return []string{name}
}
