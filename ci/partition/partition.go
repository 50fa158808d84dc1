// Package partition describes the partitions of AWS: which regions each has, and how ARNs,
// endpoints and registries are named there.
//
// The data is that of the AWS SDK for Go; partitions.json names its version. A new partition
// comes with an update of the SDK.
package partition

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Partition is one partition of AWS, such as the commercial regions or those of China.
type Partition struct {
	// ID is the second part of an ARN, such as aws-cn.
	ID string `json:"id"`
	// DNSSuffix ends the names of endpoints, DualStackSuffix those that have IPv6 too.
	DNSSuffix       string `json:"dns_suffix"`
	DualStackSuffix string `json:"dual_stack_suffix"`
	// RegionForm is the regular expression that all its regions match, future ones included.
	RegionForm string `json:"region_form"`

	form *regexp.Regexp
}

//go:embed partitions.json
var data []byte

// document is the form of partitions.json.
type document struct {
	Source     string      `json:"source"`
	Partitions []Partition `json:"partitions"`
}

var all = load()

func load() []Partition {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		panic(fmt.Sprintf("read partitions.json: %v", err)) // it is part of the program
	}
	for n := range d.Partitions {
		d.Partitions[n].form = regexp.MustCompile(d.Partitions[n].RegionForm)
	}
	return d.Partitions
}

// Of is the partition of a region, and whether the region matches one.
func Of(region string) (Partition, bool) {
	for _, p := range all {
		if p.form.MatchString(region) {
			return p, true
		}
	}
	return Partition{}, false
}

// ID is the id of a region's partition; aws for an unknown region.
func ID(region string) string {
	if p, known := Of(region); known {
		return p.ID
	}
	return "aws"
}

// Endpoint is the address of a service's API in a region, such as sts or s3; empty for an
// unknown region.
func Endpoint(service, region string) string {
	p, known := Of(region)
	if !known {
		return ""
	}
	return "https://" + service + "." + region + "." + p.DNSSuffix
}

// consoles are the addresses of the AWS Management Console, which the SDK does not have.
// Sources: "Getting started" in the user guides of AWS in China, AWS GovCloud (US) and the
// AWS European Sovereign Cloud. The isolated partitions document none in public.
var consoles = map[string]string{
	"aws": "console.aws.amazon.com", "aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com",
	"aws-eusc": "console.amazonaws-eusc.eu",
}

// Console is the address of a region's console, such as https://ap-south-1.console.aws.amazon.com;
// empty for a partition without a public one.
func Console(region string) string {
	if host := consoles[ID(region)]; host != "" {
		return "https://" + region + "." + host
	}
	return ""
}

// registryForm is the address of a private registry of Amazon ECR: the account, the service,
// the region and the partition's suffix ("Private registry endpoints" in its user guide).
var registryForm = regexp.MustCompile(`^[0-9]{12}\.dkr([.-])ecr(-fips)?\.([a-z0-9-]+)\.(.+)$`)

// RegistryRegion is the region of a registry of Amazon ECR by its host name; empty for any
// other registry. Registries with IPv6 have dkr-ecr in their name, and a suffix that begins
// with on. where that of APIs begins with api.
func RegistryRegion(host string) string {
	m := registryForm.FindStringSubmatch(host)
	if m == nil {
		return ""
	}
	p, known := Of(m[3])
	want := p.DNSSuffix
	if m[1] == "-" {
		want = strings.Replace(p.DualStackSuffix, "api.", "on.", 1)
	}
	if !known || m[4] != want {
		return ""
	}
	return m[3]
}
