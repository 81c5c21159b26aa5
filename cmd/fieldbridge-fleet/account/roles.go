package account

import (
	"context"
	"errors"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// Role is a role of IAM that AWS IoT takes: what it may do stands in a policy that is
// written into it, or in one of AWS's that is attached.
type Role struct {
	Name     string
	Policy   string // JSON; "" for none
	Attached string // name of a policy of AWS's, with its path; "" for none
}

// ForIoT is the trust of roles that AWS IoT takes.
const ForIoT = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},` +
	`"Action":"sts:AssumeRole"}]}`

// policyName is the policy that is written into roles.
const policyName = "fieldbridge"

// RoleARN returns the ARN of a role of this account.
func (a *Account) RoleARN(name string) string {
	return "arn:" + a.partition + ":iam::" + a.ID + ":role/" + name
}

// ReadFiles is the policy of a role by which gateways' files are read from a bucket.
func (a *Account) ReadFiles(bucket string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:` +
		a.partition + `:s3:::` + bucket + `/fieldbridge/*"}]}`
}

// Role is a role. One that is there keeps what else stands in it.
func (a *Account) Role(r Role) Part {
	arn := "arn:" + a.partition + ":iam::aws:policy/" + r.Attached
	trusts := func(ctx context.Context) (bool, error) {
		out, err := a.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &r.Name})
		if err != nil {
			return false, known(err)
		}
		return sameEscaped(aws.ToString(out.Role.AssumeRolePolicyDocument), ForIoT), nil
	}
	written := func(ctx context.Context) (bool, error) {
		if r.Policy == "" {
			return true, nil
		}
		out, err := a.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &r.Name, PolicyName: aws.String(policyName)})
		if err = known(err); errors.Is(err, ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		return sameEscaped(aws.ToString(out.PolicyDocument), r.Policy), nil
	}
	attached := func(ctx context.Context) (bool, error) {
		if r.Attached == "" {
			return true, nil
		}
		pages := iam.NewListAttachedRolePoliciesPaginator(a.iam, &iam.ListAttachedRolePoliciesInput{RoleName: &r.Name})
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return false, known(err)
			}
			for _, p := range out.AttachedPolicies {
				if aws.ToString(p.PolicyArn) == arn {
					return true, nil
				}
			}
		}
		return false, nil
	}
	look := func(ctx context.Context) (State, error) {
		state := Right
		for _, right := range []func(context.Context) (bool, error){trusts, written, attached} {
			ok, err := right(ctx)
			if errors.Is(err, ErrNotFound) {
				return Absent, nil
			} else if err != nil {
				return Absent, err
			}
			if !ok {
				state = Differs
			}
		}
		return state, nil
	}
	return Part{"role " + r.Name, look, func(ctx context.Context, was State) error {
		var err error
		if was == Absent {
			_, err = a.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &r.Name, AssumeRolePolicyDocument: aws.String(ForIoT),
				Description: aws.String("made by fieldbridge-fleet create")})
		} else {
			_, err = a.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &r.Name,
				PolicyDocument: aws.String(ForIoT)})
		}
		if err == nil && r.Policy != "" {
			_, err = a.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &r.Name, PolicyName: aws.String(policyName),
				PolicyDocument: &r.Policy})
		}
		if err == nil && r.Attached != "" {
			_, err = a.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &r.Name, PolicyArn: &arn})
		}
		return known(err)
	}}
}

// sameEscaped compares a document as IAM gives it, escaped by RFC 3986, with one of ours.
func sameEscaped(escaped, ours string) bool {
	text, err := url.PathUnescape(escaped)
	return err == nil && sameJSON(text, ours)
}
