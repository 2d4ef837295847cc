package s3_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers/s3"
)

func cephOwner(t *testing.T) *sdk.Client {
	t.Helper()
	c := ceph.Get(t)
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(c.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(c.Access, c.Secret, ""), RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
}

// newCephBucket makes a bucket with Object Lock with the rights of the owner.
func newCephBucket(t *testing.T) s3.Config {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	if _, err := cephOwner(t).CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	return s3.Config{Endpoint: ceph.Get(t).URL, Bucket: name, Lock: true, NoConditions: true}
}

func TestContractOnCeph(t *testing.T) { contract(t, newCephBucket(t)) }
