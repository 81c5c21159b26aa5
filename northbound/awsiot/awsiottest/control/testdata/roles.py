"""What boto3 finds of roles: makes one, takes it by a token, and does what it may."""
import json
import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

url = sys.argv[1]
seen = {}


def client(name, **more):
    return boto3.client(name, endpoint_url=url, region_name="eu-central-1", **more)


def code(call, **args):
    try:
        call(**args)
        return "done"
    except ClientError as e:
        return e.response["Error"]["Code"]


iam, anyone = client("iam"), client("sts", config=Config(signature_version=UNSIGNED))
if sys.argv[2] == "make":
    trust = json.dumps({"Statement": []})
    seen["made"] = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    seen["again"] = code(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust)
    seen["none"] = code(iam.get_role, RoleName="x")
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(
        {"Statement": [{"Effect": "Allow", "Action": ["iot:ListThings"]}]}))
    seen["policy"] = iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"]["Statement"][0]["Action"]
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/x")
    seen["attached"] = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
else:
    ask = {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "ci"}
    seen["long"] = code(anyone.assume_role_with_web_identity, WebIdentityToken="token", DurationSeconds=3601, **ask)
    seen["strange"] = code(anyone.assume_role_with_web_identity, WebIdentityToken="toke", **ask)
    k = anyone.assume_role_with_web_identity(WebIdentityToken="token", **ask)["Credentials"]
    keys = {"aws_access_key_id": k["AccessKeyId"], "aws_secret_access_key": k["SecretAccessKey"],
            "aws_session_token": k["SessionToken"]}
    seen["who"] = "assumed-role/r/" in client("sts", **keys).get_caller_identity()["Arn"]
    iot = client("iot", **keys)
    seen["may"] = [t["thingName"] for t in iot.list_things()["things"]]
    seen["may not"] = code(iot.list_jobs)
    keys["aws_session_token"] = "x"
    seen["half a key"] = code(client("iot", **keys).list_things)
print(json.dumps(seen))
