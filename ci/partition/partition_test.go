package partition

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write partitions.json from the SDK's data")

// The data is that of the SDK in go.mod.
func TestTheDataIsTheSDKs(t *testing.T) {
	const module = "github.com/aws/aws-sdk-go-v2"
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", module).Output()
	require.NoError(t, err)
	version, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	const path = "internal/endpoints/awsrulesfn/partitions.json"
	content, err := os.ReadFile(filepath.Join(dir, path))
	require.NoError(t, err)
	var theirs struct {
		Partitions []struct {
			ID      string
			Outputs struct{ DNSSuffix, DualStackDNSSuffix string }
			Form    string `json:"regionRegex"`
			Regions map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(content, &theirs))
	want := document{Source: module + " " + version + ", " + path}
	for _, p := range theirs.Partitions {
		want.Partitions = append(want.Partitions, Partition{ID: p.ID, DNSSuffix: p.Outputs.DNSSuffix,
			DualStackSuffix: p.Outputs.DualStackDNSSuffix, RegionForm: p.Form})
	}
	text, err := json.MarshalIndent(want, "", "  ")
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("partitions.json", append(text, '\n'), 0o644))
		return
	}
	assert.JSONEq(t, string(text), string(data), "go test ./ci/partition -update writes it")
	for _, p := range theirs.Partitions {
		for region := range p.Regions {
			if !strings.HasSuffix(region, "-global") {
				assert.Equal(t, p.ID, ID(region))
			}
		}
	}
}

func TestARegionHasItsPartition(t *testing.T) {
	for region, want := range map[string]string{
		"ap-south-1": "aws", "mx-central-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eusc-de-east-1": "aws-eusc",
		"us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f",
	} {
		p, known := Of(region)
		assert.True(t, known, region)
		assert.Equal(t, want, p.ID, region)
	}
	for _, wrong := range []string{"", "mars-1", "ap-south", "ap-south-1 ", "AP-SOUTH-1", "eusc-fr-east", "aws-global", "x\nap-south-1",
		"ap-south-1\n"} {
		_, known := Of(wrong)
		assert.False(t, known, "%q", wrong)
		assert.Equal(t, "aws", ID(wrong))
	}
}

func TestARegistryOfECRHasItsRegion(t *testing.T) {
	const account = "111122223333.dkr"
	for host, want := range map[string]string{
		account + ".ecr.ap-south-1.amazonaws.com": "ap-south-1", account + ".ecr.cn-north-1.amazonaws.com.cn": "cn-north-1",
		account + ".ecr-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1", account + ".ecr.eusc-de-east-1.amazonaws.eu": "eusc-de-east-1",
		account + ".ecr.us-iso-east-1.c2s.ic.gov": "us-iso-east-1", account + "-ecr.ap-south-1.on.aws": "ap-south-1",
		account + "-ecr.cn-north-1.on.amazonwebservices.com.cn": "cn-north-1",
		// A suffix of another partition, or of another owner, gets no credentials.
		account + ".ecr.eusc-de-east-1.amazonaws.com": "", account + ".ecr.ap-south-1.amazonaws.com.example.org": "",
		account + ".ecr.ap-south-1.amazonaws.com.cn": "",
		account + ".ecr.mars-1.amazonaws.com":        "", "12345.dkr.ecr.ap-south-1.amazonaws.com": "", "ghcr.io": "", "public.ecr.aws": "",
		"localhost:5000": "", "": "",
	} {
		assert.Equal(t, want, RegistryRegion(host), host)
	}
}

func TestTheConsoleOfARegion(t *testing.T) {
	assert.Equal(t, "https://ap-south-1.console.aws.amazon.com", Console("ap-south-1"))
	assert.Equal(t, "https://eusc-de-east-1.console.amazonaws-eusc.eu", Console("eusc-de-east-1"))
	assert.Equal(t, "https://cn-north-1.console.amazonaws.cn", Console("cn-north-1"))
	assert.Empty(t, Console("us-iso-east-1"), "nothing is guessed")
}

func TestTheEndpointOfAService(t *testing.T) {
	assert.Equal(t, "https://sts.eusc-de-east-1.amazonaws.eu", Endpoint("sts", "eusc-de-east-1"))
	assert.Equal(t, "https://sts.ap-south-1.amazonaws.com", Endpoint("sts", "ap-south-1"))
	assert.Empty(t, Endpoint("sts", "mars-1"))
}
