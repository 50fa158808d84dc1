package fakeaws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecr"
)

// Images are what Amazon ECR found in images. Its methods are those of the client.
type Images struct {
	cable *cable
	// Scans are the answers about an image, by its digest: one for each request, the last again and again.
	// An answer with a NextToken is a page: the next follows.
	Scans map[string][]*ecr.DescribeImageScanFindingsOutput
}

// DescribeImageScanFindings answers for an image that was scanned, or is being scanned.
func (i *Images) DescribeImageScanFindings(
	_ context.Context, in *ecr.DescribeImageScanFindingsInput,
) (*ecr.DescribeImageScanFindingsOutput, error) {
	return over(i.cable, "ecr:DescribeImageScanFindings", func() (*ecr.DescribeImageScanFindingsOutput, error) {
		digest := aws.ToString(in.ImageId.ImageDigest)
		answers := i.Scans[digest]
		if len(answers) == 0 {
			return nil, refuse("ScanNotFoundException",
				"Image scan does not exist for the image with '%s' in the repository with name '%s' in the registry with id '%s'",
				digest, aws.ToString(in.RepositoryName), aws.ToString(in.RegistryId))
		}
		if len(answers) > 1 {
			i.Scans[digest] = answers[1:]
		}
		return answers[0], nil
	})
}
