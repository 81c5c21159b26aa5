"""Looks at the control plane with boto3, and prints what it saw as JSON."""
import json
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, ca, csr = sys.argv[1], open(sys.argv[2]).read(), open(sys.argv[3]).read()
template, policy = open(sys.argv[4]).read(), open(sys.argv[5]).read()
once = Config(retries={"max_attempts": 1})


def client(name, **more):
    return boto3.client(name, endpoint_url=url, config=once, **more)


def code(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]]
    return "done"


iot, s3, saw = client("iot"), client("s3"), {}

iot.create_thing_type(thingTypeName="gateway")
for n in range(3):
    iot.create_thing(thingName=f"press-{n}", thingTypeName="gateway", attributePayload={"attributes": {"n": str(n)}})
iot.create_thing_group(thingGroupName="canary")
iot.add_thing_to_thing_group(thingGroupName="canary", thingName="press-1")
iot.update_thing(thingName="press-2", attributePayload={"attributes": {"site": "north"}, "merge": True})
saw["thing"] = {k: v for k, v in iot.describe_thing(thingName="press-2").items() if k in ("attributes", "version")}
saw["pages"] = [len(p["things"]) for p in
                iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 2})]
saw["groups"] = [g["groupName"] for g in iot.list_thing_groups_for_thing(thingName="press-1")["thingGroups"]]
saw["members"] = iot.list_things_in_thing_group(thingGroupName="canary")["things"]
saw["search"] = [[t["thingName"] for t in iot.search_index(queryString=q)["things"]] for q in (
    "thingName:press-*", "attributes.site:north", "thingGroupNames:canary OR attributes.n:0", "NOT attributes.n<2",
    "shadow.name.gateway.reported.version:1.2*")]

iot.create_policy(policyName="gateways", policyDocument=policy)
made = iot.create_certificate_from_csr(certificateSigningRequest=csr, setAsActive=True)
iot.attach_policy(policyName="gateways", target=made["certificateArn"])
iot.attach_thing_principal(thingName="press-1", principal=made["certificateArn"])
saw["attached"] = [p["policyName"] for p in iot.list_attached_policies(target=made["certificateArn"])["policies"]]
saw["principals"] = [p == made["certificateArn"] for p in iot.list_thing_principals(thingName="press-1")["principals"]]
cert = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
saw["certificate"] = [cert["status"], cert["validity"]["notAfter"].year]
keys = iot.create_keys_and_certificate(setAsActive=False)
saw["keys"] = keys["keyPair"]["PrivateKey"].split("\n")[0]
iot.update_certificate(certificateId=keys["certificateId"], newStatus="REVOKED")
saw["code"] = len(iot.get_registration_code()["registrationCode"])
iot.register_ca_certificate(caCertificate=ca, certificateMode="SNI_ONLY", setAsActive=True, allowAutoRegistration=True)
saw["ca"] = [c["status"] for c in iot.list_ca_certificates()["certificates"]]

iot.create_provisioning_template(templateName="fleet", templateBody=template, enabled=True,
                                 provisioningRoleArn="arn:aws:iam::123456789012:role/provisioning")
claim = iot.create_provisioning_claim(templateName="fleet")
saw["claim"] = [claim["keyPair"]["PrivateKey"].split("\n")[0], sorted(claim)[:2]]

s3.create_bucket(Bucket="fleet", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
s3.put_object(Bucket="fleet", Key="a/b c.bin", Body=b"x" * 1000)
saw["s3"] = [len(s3.get_object(Bucket="fleet", Key="a/b c.bin")["Body"].read()),
             [o["Key"] for o in s3.list_objects_v2(Bucket="fleet", Prefix="a/")["Contents"]],
             code(s3.get_object, Bucket="fleet", Key="none")]
v4 = boto3.client("s3", endpoint_url=url, config=Config(signature_version="s3v4"))
link = v4.generate_presigned_url("get_object", Params={"Bucket": "fleet", "Key": "a/b c.bin"}, ExpiresIn=60)
saw["presigned"] = len(urllib.request.urlopen(link).read())

stream = iot.create_stream(streamId="s", description="a file", roleArn="arn:aws:iam::123456789012:role/streams-role",
                           files=[{"fileId": 0, "s3Location": {"bucket": "fleet", "key": "a/b c.bin"}}])
saw["stream"] = [stream["streamVersion"], iot.describe_stream(streamId="s")["streamInfo"]["files"][0]["fileId"]]

iot.create_job(jobId="j", targets=["arn:aws:iot:eu-central-1:123456789012:thinggroup/canary"],
               document=json.dumps({"url": "${aws:iot:s3-presigned-url:https://s3.eu-central-1.amazonaws.com/fleet/a/b%20c.bin}"}),
               presignedUrlConfig={"roleArn": "arn:aws:iam::123456789012:role/presign-role", "expiresInSec": 3600},
               jobExecutionsRolloutConfig={"exponentialRate": {"baseRatePerMinute": 5, "incrementFactor": 2.0,
                                                               "rateIncreaseCriteria": {"numberOfSucceededThings": 10}}},
               abortConfig={"criteriaList": [{"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 10.0,
                                              "minNumberOfExecutedThings": 1}]},
               timeoutConfig={"inProgressTimeoutInMinutes": 10})
data = client("iot-jobs-data")
execution = data.start_next_pending_job_execution(thingName="press-1")["execution"]
saw["execution"] = [execution["status"], len(urllib.request.urlopen(json.loads(execution["jobDocument"])["url"]).read())]
data.update_job_execution(jobId="j", thingName="press-1", status="FAILED", statusDetails={"step": "apply"},
                          expectedVersion=execution["versionNumber"])
job = iot.describe_job(jobId="j")["job"]
saw["job"] = [job["status"], job["jobProcessDetails"]["numberOfFailedThings"], job["reasonCode"],
              job["jobExecutionsRolloutConfig"]["exponentialRate"]["incrementFactor"]]
saw["details"] = iot.describe_job_execution(jobId="j", thingName="press-1")["execution"]["statusDetails"]["detailsMap"]

iot.create_thing_group(thingGroupName="rest")
iot.add_thing_to_thing_group(thingGroupName="rest", thingName="press-0")
iot.create_job(jobId="on", targets=["arn:aws:iot:eu-central-1:123456789012:thinggroup/canary"], document="{}",
               targetSelection="CONTINUOUS", jobExecutionsRolloutConfig={"maximumPerMinute": 10})
iot.update_job(jobId="on", description="goes on", jobExecutionsRolloutConfig={"maximumPerMinute": 20})
iot.associate_targets_with_job(jobId="on", targets=["arn:aws:iot:eu-central-1:123456789012:thinggroup/rest"])
on = iot.describe_job(jobId="on")["job"]
saw["changed"] = [on["description"], on["jobExecutionsRolloutConfig"]["maximumPerMinute"],
                  on["jobProcessDetails"]["numberOfQueuedThings"]]
iot.create_policy_version(policyName="gateways", policyDocument=policy)
iot.set_default_policy_version(policyName="gateways", policyVersionId="2")
saw["policy"] = [iot.get_policy(policyName="gateways")["defaultVersionId"],
                 len(iot.list_targets_for_policy(policyName="gateways")["targets"])]

shadows = client("iot-data")
shadows.update_thing_shadow(thingName="press-1", shadowName="gateway",
                            payload=json.dumps({"state": {"reported": {"version": "1.3"}}}))
saw["shadow"] = json.loads(shadows.get_thing_shadow(thingName="press-1", shadowName="gateway")["payload"].read())["state"]
saw["endpoint"] = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
saw["caller"] = client("sts").get_caller_identity()["Account"]
stranger = boto3.client("iot", endpoint_url=url, config=once, aws_access_key_id="AKIDEXAMPLE",
                        aws_secret_access_key="another")
unknown = boto3.client("iot", endpoint_url=url, config=once, aws_access_key_id="AKIDOTHER", aws_secret_access_key="x")
saw["refused"] = [code(stranger.list_things), code(unknown.list_things), code(iot.describe_thing, thingName="none"),
                  code(iot.create_policy, policyName="p", policyDocument="{}"),
                  code(iot.delete_certificate, certificateId=made["certificateId"]),
                  code(iot.create_job, jobId="j", targets=["arn:aws:iot:x:y:thing/press-1"], document="{}")]
json.dump(saw, sys.stdout)
