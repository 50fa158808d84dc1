// Package ecr has the operation of Amazon ECR that a scan uses as a second opinion: what the registry
// itself found in an image. Fields are as in the API reference; nil is not sent.
package ecr

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// Client calls Amazon ECR. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// Service is Amazon ECR.
var Service = awscall.Service{
	ID: "ECR", Name: "ecr", Endpoint: awscall.Regional("api.ecr", false),
	Protocol: awscall.JSON{Target: "AmazonEC2ContainerRegistry_V20150921", Version: "1.1"},
}

// New returns a client of the configuration's account and region.
func New(cfg aws.Config) *Client { return &Client{awscall.New(cfg, Service)} }

// ImageIdentifier names an image by its digest.
type ImageIdentifier struct {
	ImageDigest *string `json:"imageDigest,omitempty"`
}

// DescribeImageScanFindingsInput asks for one page of what was found in an image.
type DescribeImageScanFindingsInput struct {
	RegistryId     *string          `json:"registryId,omitempty"`
	RepositoryName *string          `json:"repositoryName,omitempty"`
	ImageId        *ImageIdentifier `json:"imageId,omitempty"`
	NextToken      *string          `json:"nextToken,omitempty"`
}

// DescribeImageScanFindingsOutput is one page. Times are seconds since 1970.
type DescribeImageScanFindingsOutput struct {
	ImageScanStatus   *ImageScanStatus `json:"imageScanStatus"`
	ImageScanFindings *Findings        `json:"imageScanFindings"`
	NextToken         *string          `json:"nextToken"`
}

// ImageScanStatus says how far a scan is.
type ImageScanStatus struct {
	Status      string `json:"status"`
	Description string `json:"description"`
}

// Findings are those of the basic scan, or those of the enhanced one.
type Findings struct {
	ImageScanCompletedAt         float64    `json:"imageScanCompletedAt"`
	VulnerabilitySourceUpdatedAt float64    `json:"vulnerabilitySourceUpdatedAt"`
	Findings                     []Basic    `json:"findings"`
	EnhancedFindings             []Enhanced `json:"enhancedFindings"`
}

// Basic is a finding of the basic scan; among its attributes is package_name.
type Basic struct {
	Name       string      `json:"name"`
	Severity   string      `json:"severity"`
	Attributes []Attribute `json:"attributes"`
}

// Attribute is one of a finding.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Enhanced is a finding of Amazon Inspector.
type Enhanced struct {
	Severity                    string         `json:"severity"`
	Status                      string         `json:"status"`
	PackageVulnerabilityDetails PackageDetails `json:"packageVulnerabilityDetails"`
}

// PackageDetails name a vulnerability and the packages that have it.
type PackageDetails struct {
	VulnerabilityId        string              `json:"vulnerabilityId"`
	RelatedVulnerabilities []string            `json:"relatedVulnerabilities"`
	VulnerablePackages     []VulnerablePackage `json:"vulnerablePackages"`
}

// VulnerablePackage is one of them.
type VulnerablePackage struct {
	Name string `json:"name"`
}

// DescribeImageScanFindings describes one page.
func (c *Client) DescribeImageScanFindings(
	ctx context.Context, in *DescribeImageScanFindingsInput,
) (*DescribeImageScanFindingsOutput, error) {
	return awscall.Do[DescribeImageScanFindingsOutput](ctx, c.api, "DescribeImageScanFindings", in)
}

// maxPages bounds how many pages are read.
const maxPages = 200

// All are all pages as one.
func (c *Client) All(ctx context.Context, registry, repository, digest string) (*DescribeImageScanFindingsOutput, error) {
	in := &DescribeImageScanFindingsInput{
		RegistryId: aws.String(registry), RepositoryName: aws.String(repository), ImageId: &ImageIdentifier{aws.String(digest)},
	}
	var all *DescribeImageScanFindingsOutput
	for range maxPages {
		page, err := c.DescribeImageScanFindings(ctx, in)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = page
		} else if more := page.ImageScanFindings; more != nil && all.ImageScanFindings != nil {
			all.ImageScanFindings.Findings = append(all.ImageScanFindings.Findings, more.Findings...)
			all.ImageScanFindings.EnhancedFindings = append(all.ImageScanFindings.EnhancedFindings, more.EnhancedFindings...)
		}
		if in.NextToken = page.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("read findings of %s: more than %d pages", digest, maxPages)
}
