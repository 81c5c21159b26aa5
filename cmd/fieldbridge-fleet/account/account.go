package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// ErrExists is that what is to be made is there.
var ErrExists = errors.New("it exists")

// ErrNotFound is that the account does not have what was asked for.
var ErrNotFound = errors.New("it does not exist")

// Account is an AWS account in one region.
type Account struct {
	Region string
	ID     string // 12 digits

	partition string // of AWS: aws, aws-cn, aws-us-gov
	prefix    string // of the ARNs of AWS IoT
	iot       *iot.Client
	iam       *iam.Client
	s3        *s3.Client
}

// Options are how an account is asked.
type Options struct {
	Region string // "" is what the environment names
	// Pace is how much time there is between two calls, on average.
	Pace time.Duration
	// Wait is the longest that is waited before a call is tried again which AWS has
	// throttled or failed to answer.
	Wait time.Duration
}

// mostTries is how often a call is tried: with 20 s between them for two minutes.
const mostTries = 12

// Open finds credentials and asks whose they are.
func Open(ctx context.Context, o Options) (*Account, error) {
	options := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer {
		return retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff, s.RateLimiter = mostTries, o.Wait, ratelimit.None
		})
	})}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("AWS credentials: %w", err)
	}
	if c.Region == "" {
		return nil, errors.New("no region: say --region or set AWS_REGION")
	}
	if c.HTTPClient == nil { // but where AWS_CA_BUNDLE names authorities of one's own
		c.HTTPClient = awshttp.NewBuildableClient()
	}
	c.HTTPClient = &paced{next: c.HTTPClient, every: o.Pace}
	who, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("AWS does not say whose credentials these are: %w: log in ('aws sso login'), or set "+
			"AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", known(err))
	}
	partition := "aws"
	if parts := strings.Split(aws.ToString(who.Arn), ":"); len(parts) > 1 && parts[1] != "" {
		partition = parts[1]
	}
	id := aws.ToString(who.Account)
	return &Account{Region: c.Region, ID: id, partition: partition,
		prefix: "arn:" + partition + ":iot:" + c.Region + ":" + id + ":",
		iot:    iot.NewFromConfig(c), iam: iam.NewFromConfig(c),
		s3: s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = c.BaseEndpoint != nil })}, nil
}

// known makes the SDK's errors short, and the two that callers tell apart ours.
func known(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "ResourceAlreadyExistsException", "BucketAlreadyOwnedByYou", "EntityAlreadyExists":
		return fmt.Errorf("%w: %s", ErrExists, api.ErrorMessage())
	case "ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NotFound", "NoSuchEntity":
		return fmt.Errorf("%w: %s", ErrNotFound, api.ErrorMessage())
	}
	return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
}

// Gateway is a thing as fleet indexing knows it.
type Gateway struct {
	Name      string   `json:"gateway"`
	Groups    []string `json:"groups,omitempty"`
	Connected bool     `json:"connected"`
	Version   string   `json:"version,omitempty"`  // "" where it has reported none
	Platform  string   `json:"platform,omitempty"` // as linux/arm64; "" where it has reported none
	Config    string   `json:"config,omitempty"`   // hash of what it runs
}

// Gateways returns the things that a query of fleet indexing finds ("*" for all),
// with what they report in their named shadow.
func (a *Account) Gateways(ctx context.Context, query, shadow string) (all []Gateway, err error) {
	in := &iot.SearchIndexInput{QueryString: &query, MaxResults: aws.Int32(100)}
	for {
		out, err := a.iot.SearchIndex(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("fleet indexing ('fieldbridge-fleet create' turns it on): %w", known(err))
		}
		for _, t := range out.Things {
			g := Gateway{Name: aws.ToString(t.ThingName), Groups: t.ThingGroupNames,
				Connected: t.Connectivity != nil && aws.ToBool(t.Connectivity.Connected)}
			g.read(aws.ToString(t.Shadow), shadow)
			all = append(all, g)
		}
		if out.NextToken == nil {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

// read reads the text that fleet indexing has of a thing's shadows.
func (g *Gateway) read(text, shadow string) {
	var doc struct {
		Name map[string]struct {
			Reported struct{ Version, Platform, Config string }
		}
	}
	if json.Unmarshal([]byte(text), &doc) != nil {
		return // a thing that is none of ours
	}
	r := doc.Name[shadow].Reported
	g.Version, g.Platform, g.Config = r.Version, r.Platform, r.Config
}

// Upload puts a file into a bucket.
func (a *Account) Upload(ctx context.Context, bucket, key string, content []byte) error {
	_, err := a.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)})
	if err != nil {
		return fmt.Errorf("s3://%s/%s: %w", bucket, key, known(err))
	}
	return nil
}
