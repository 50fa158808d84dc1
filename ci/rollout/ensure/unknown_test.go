package ensure

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// A member that ECS got after this SDK was made must not be lost when the rest is registered again.
func TestASettingThatTheSDKDoesNotKnowIsNotLost(t *testing.T) {
	for answer, lost := range map[string][]string{
		`{"taskDefinition":{"family":"a","revision":1,"registeredAt":1.5,"registeredBy":"x","containerDefinitions":[{"name":"app","cpu":0}]}}`: nil,
		`{"taskDefinition":{"family":"a","newMode":"","newList":[],"containerDefinitions":[{"name":"app","new":{"deep":0}}]}}`:                 nil,
		`{"taskDefinition":{"family":"a","newMode":"x","containerDefinitions":[{"name":"app"},{"name":"b","new":{"deep":1}}]}}`: {
			"containerDefinitions[1].new", "newMode"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, answer)
		}))
		client := ecs.New(aws.Config{Region: "ap-south-1", BaseEndpoint: aws.String(server.URL),
			Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")})
		unknown := &unknownMembers{}
		out, err := client.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("a")}, unknown.watch)
		server.Close()
		require.NoError(t, err)
		assert.Equal(t, "a", *out.TaskDefinition.Family)
		assert.NotEmpty(t, unknown.body)
		assert.Equal(t, lost, unknown.of(out.TaskDefinition))
	}
}
