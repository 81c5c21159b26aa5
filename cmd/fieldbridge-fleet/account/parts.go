package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// State is how a part of an account is.
type State int

// The states of a [Part].
const (
	Absent State = iota
	Differs
	Right
)

// Part is something that an account is to have.
type Part struct {
	Name string
	// Look changes nothing.
	Look func(ctx context.Context) (State, error)
	// Make makes it right, from the state that Look returned.
	Make func(ctx context.Context, was State) error
}

// there returns that something is there, or not, by the error of the call that
// describes it.
func there(err error) (State, error) {
	err = known(err)
	switch {
	case err == nil:
		return Right, nil
	case errors.Is(err, ErrNotFound):
		return Absent, nil
	}
	return Absent, err
}

// Things returns the names of all things.
func (a *Account) Things(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	pages := iot.NewListThingsPaginator(a.iot, &iot.ListThingsInput{MaxResults: aws.Int32(250)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("things: %w", known(err))
		}
		for _, t := range out.Things {
			all[aws.ToString(t.ThingName)] = true
		}
	}
	return all, nil
}

// Group is a static thing group with at least these things in it, which the account has.
func (a *Account) Group(name string, things []string) Part {
	lacking := func(ctx context.Context) ([]string, error) {
		in := map[string]bool{}
		pages := iot.NewListThingsInThingGroupPaginator(a.iot, &iot.ListThingsInThingGroupInput{ThingGroupName: &name,
			MaxResults: aws.Int32(250)})
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return nil, known(err)
			}
			for _, t := range out.Things {
				in[t] = true
			}
		}
		return slices.DeleteFunc(slices.Clone(things), func(t string) bool { return in[t] }), nil
	}
	return Part{fmt.Sprintf("thing group %s with %d things", name, len(things)), func(ctx context.Context) (State, error) {
		_, err := a.iot.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: &name})
		state, err := there(err)
		if state != Right || err != nil {
			return state, err
		}
		if out, err := lacking(ctx); err != nil || len(out) > 0 {
			return Differs, err
		}
		return Right, nil
	}, func(ctx context.Context, was State) error {
		join := things
		var err error
		if was == Absent {
			_, err = a.iot.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: &name})
		} else {
			join, err = lacking(ctx)
		}
		for i := 0; i < len(join) && err == nil; i++ {
			_, err = a.iot.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingGroupName: &name, ThingName: &join[i]})
		}
		return known(err)
	}}
}

// ThingType is what things are gateways by.
func (a *Account) ThingType(name string) Part {
	return Part{"thing type " + name, func(ctx context.Context) (State, error) {
		_, err := a.iot.DescribeThingType(ctx, &iot.DescribeThingTypeInput{ThingTypeName: &name})
		return there(err)
	}, func(ctx context.Context, _ State) error {
		_, err := a.iot.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: &name})
		return known(err)
	}}
}

// Policy is a policy of AWS IoT. Where its document is another, it gets a new version
// that is put in force; AWS keeps five, so that the oldest goes.
func (a *Account) Policy(name, document string) Part {
	return Part{"policy " + name, func(ctx context.Context) (State, error) {
		out, err := a.iot.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &name})
		state, err := there(err)
		if state == Right && !sameJSON(aws.ToString(out.PolicyDocument), document) {
			state = Differs
		}
		return state, err
	}, func(ctx context.Context, was State) error {
		if was == Absent {
			_, err := a.iot.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document})
			return known(err)
		}
		in := &iot.CreatePolicyVersionInput{PolicyName: &name, PolicyDocument: &document, SetAsDefault: true}
		_, err := a.iot.CreatePolicyVersion(ctx, in)
		var full *types.VersionsLimitExceededException
		if errors.As(err, &full) {
			if err = a.forgetVersion(ctx, name); err == nil {
				_, err = a.iot.CreatePolicyVersion(ctx, in)
			}
		}
		return known(err)
	}}
}

// forgetVersion deletes the oldest version of a policy that is not in force.
func (a *Account) forgetVersion(ctx context.Context, policy string) error {
	out, err := a.iot.ListPolicyVersions(ctx, &iot.ListPolicyVersionsInput{PolicyName: &policy})
	if err != nil {
		return err
	}
	var oldest *types.PolicyVersion
	number := func(v *types.PolicyVersion) int { n, _ := strconv.Atoi(aws.ToString(v.VersionId)); return n }
	for i := range out.PolicyVersions {
		if v := &out.PolicyVersions[i]; !v.IsDefaultVersion && (oldest == nil || number(v) < number(oldest)) {
			oldest = v
		}
	}
	if oldest == nil {
		return errors.New("it has no version that is not in force")
	}
	_, err = a.iot.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: &policy,
		PolicyVersionId: oldest.VersionId})
	return err
}

// Template is a provisioning template, for gateways that come with a claim.
func (a *Account) Template(name, body, role string) Part {
	return Part{"provisioning template " + name, func(ctx context.Context) (State, error) {
		out, err := a.iot.DescribeProvisioningTemplate(ctx, &iot.DescribeProvisioningTemplateInput{TemplateName: &name})
		state, err := there(err)
		if state == Right && !sameJSON(aws.ToString(out.TemplateBody), body) {
			state = Differs
		}
		return state, err
	}, func(ctx context.Context, was State) error {
		if was == Absent {
			_, err := a.iot.CreateProvisioningTemplate(ctx, &iot.CreateProvisioningTemplateInput{TemplateName: &name,
				TemplateBody: &body, ProvisioningRoleArn: &role, Enabled: aws.Bool(true)})
			return known(err)
		}
		_, err := a.iot.CreateProvisioningTemplateVersion(ctx, &iot.CreateProvisioningTemplateVersionInput{
			TemplateName: &name, TemplateBody: &body, SetAsDefault: true})
		return known(err)
	}}
}

// Search is fleet indexing, of things, whether they are connected, and one named
// shadow. Other shadows that are searched stay so.
func (a *Account) Search(shadow string) Part {
	return Part{"search of things and shadow " + shadow, func(ctx context.Context) (State, error) {
		c, err := a.indexing(ctx)
		switch {
		case err != nil:
			return Absent, err
		case c.ThingIndexingMode == types.ThingIndexingModeOff || c.ThingIndexingMode == "":
			return Absent, nil
		case c.NamedShadowIndexingMode != types.NamedShadowIndexingModeOn || c.Filter == nil ||
			!slices.Contains(c.Filter.NamedShadowNames, shadow) ||
			c.ThingConnectivityIndexingMode != types.ThingConnectivityIndexingModeStatus:
			return Differs, nil
		}
		return Right, nil
	}, func(ctx context.Context, _ State) error {
		c, err := a.indexing(ctx)
		if err != nil {
			return err
		}
		if c.ThingIndexingMode != types.ThingIndexingModeRegistryAndShadow {
			c.ThingIndexingMode = types.ThingIndexingModeRegistry
		}
		c.ManagedFields = nil // AWS gives them, and does not take them
		c.NamedShadowIndexingMode = types.NamedShadowIndexingModeOn
		c.ThingConnectivityIndexingMode = types.ThingConnectivityIndexingModeStatus
		if c.Filter == nil {
			c.Filter = &types.IndexingFilter{}
		}
		if !slices.Contains(c.Filter.NamedShadowNames, shadow) {
			c.Filter.NamedShadowNames = append(c.Filter.NamedShadowNames, shadow)
		}
		_, err = a.iot.UpdateIndexingConfiguration(ctx, &iot.UpdateIndexingConfigurationInput{ThingIndexingConfiguration: c})
		return known(err)
	}}
}

func (a *Account) indexing(ctx context.Context) (*types.ThingIndexingConfiguration, error) {
	out, err := a.iot.GetIndexingConfiguration(ctx, &iot.GetIndexingConfigurationInput{})
	if err != nil {
		return nil, known(err)
	}
	if out.ThingIndexingConfiguration == nil {
		return &types.ThingIndexingConfiguration{}, nil
	}
	return out.ThingIndexingConfiguration, nil
}

// Bucket is a bucket of S3; a new one is closed to the public, as all new ones are.
func (a *Account) Bucket(name string) Part {
	return Part{"bucket " + name, func(ctx context.Context) (State, error) {
		_, err := a.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name, MaxKeys: aws.Int32(1)})
		return there(err)
	}, func(ctx context.Context, _ State) error {
		in := &s3.CreateBucketInput{Bucket: &name}
		if a.Region != "us-east-1" { // which S3 does not take as a place
			in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{
				LocationConstraint: s3types.BucketLocationConstraint(a.Region)}
		}
		_, err := a.s3.CreateBucket(ctx, in)
		return known(err)
	}}
}

// sameJSON compares documents without regard to spaces and the order of keys.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
