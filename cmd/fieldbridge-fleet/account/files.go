package account

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// Stream makes a file of a bucket one that gateways can have over MQTT, as file 0 of
// the stream. One that is there and says something else is changed. role is the ARN of
// the role that AWS IoT reads the bucket by.
func (a *Account) Stream(ctx context.Context, id, bucket, key, role string) error {
	files := []types.StreamFile{{FileId: aws.Int32(0), S3Location: &types.S3Location{Bucket: &bucket, Key: &key}}}
	_, err := a.iot.CreateStream(ctx, &iot.CreateStreamInput{StreamId: &id, RoleArn: &role, Files: files})
	if err = known(err); errors.Is(err, ErrExists) {
		err = a.mendStream(ctx, id, role, files)
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", id, err)
	}
	return nil
}

// mendStream changes a stream only if it must: its version grows, and gateways that are
// at it begin again.
func (a *Account) mendStream(ctx context.Context, id, role string, files []types.StreamFile) error {
	out, err := a.iot.DescribeStream(ctx, &iot.DescribeStreamInput{StreamId: &id})
	if err != nil {
		return known(err)
	}
	if is := out.StreamInfo; is != nil && aws.ToString(is.RoleArn) == role && len(is.Files) == 1 &&
		reflect.DeepEqual(is.Files[0].S3Location, files[0].S3Location) {
		return nil
	}
	_, err = a.iot.UpdateStream(ctx, &iot.UpdateStreamInput{StreamId: &id, RoleArn: &role, Files: files})
	return known(err)
}

// URL is where a file of a bucket lies, for a job to make a presigned URL of.
func (a *Account) URL(bucket, key string) string {
	host := "s3." + a.Region + ".amazonaws.com"
	if a.partition == "aws-cn" {
		host += ".cn"
	}
	return "https://" + host + "/" + bucket + "/" + key
}
