package ensure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// ErrUnknownMember means that ECS describes a task definition with a member that this version's SDK does not
// know. Registered again it would be lost silently.
var ErrUnknownMember = errors.New("it has members that this version does not know, and would lose")

// unknownMembers reads what ECS really answered beside what the SDK made of it.
type unknownMembers struct{ body []byte }

// watch is an option of a call of ECS.
func (u *unknownMembers) watch(o *ecs.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("keep the answer", func(ctx context.Context,
			in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if response, is := out.RawResponse.(*smithyhttp.Response); is && err == nil {
				var kept []byte
				if kept, err = io.ReadAll(response.Body); err != nil {
					return out, metadata, fmt.Errorf("read answer: %w", err)
				}
				u.body, response.Body = kept, io.NopCloser(bytes.NewReader(kept))
			}
			return out, metadata, err
		}), middleware.After)
	})
}

// of lists the members of the answer that the SDK dropped, by their path; nil where there was no
// answer to read.
func (u *unknownMembers) of(known *types.TaskDefinition) []string {
	var answer struct {
		TaskDefinition map[string]any `json:"taskDefinition"`
	}
	if json.Unmarshal(u.body, &answer) != nil {
		return nil
	}
	return dropped("", answer.TaskDefinition, wire.Encode(known))
}

// dropped lists what is in one tree and not in the other. Empty values say nothing.
func dropped(path string, have, known any) []string {
	var all []string
	switch h := have.(type) {
	case map[string]any:
		k, _ := known.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(h)) {
			at := strings.TrimPrefix(path+"."+key, ".")
			// The time's form differs, and it is not registered.
			if there, both := k[key]; both {
				all = append(all, dropped(at, h[key], there)...)
			} else if !empty(h[key]) && !slices.Contains(notRegistered, at) {
				all = append(all, at)
			}
		}
	case []any:
		k, _ := known.([]any)
		for i, item := range h {
			if i < len(k) {
				all = append(all, dropped(fmt.Sprintf("%s[%d]", path, i), item, k[i])...)
			}
		}
	}
	return all
}

// notRegistered are described and cannot be registered; what ECS adds to these is no loss.
var notRegistered = []string{"registeredAt", "registeredBy", "deregisteredAt", "deleteRequestedAt", "requiresAttributes", "compatibilities",
	"revision", "status", "taskDefinitionArn"}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, member := range v {
			if !empty(member) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

func lastSlash(arn string) int { return strings.LastIndexByte(arn, '/') }
