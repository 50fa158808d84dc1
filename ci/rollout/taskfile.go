package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// imageMark stands for the image in a task definition file.
const imageMark = "{{image}}"

// readTaskDefinition reads a task definition as the AWS CLI takes it, or as it shows one: what is
// described and not registered, such as the revision, is dropped. Members that this version does
// not know are refused, since they would be lost.
func readTaskDefinition(name string, content []byte, image string) (*ecs.RegisterTaskDefinitionInput, []*verdict.Problem) {
	bad := func(format string, args ...any) (*ecs.RegisterTaskDefinitionInput, []*verdict.Problem) {
		return nil, []*verdict.Problem{verdict.Problemf(TaskFileInvalid, "%s: %s", name, fmt.Sprintf(format, args...))}
	}
	tree, err := strictjson.Parse(content, strictjson.Limits{})
	if err != nil {
		return bad("%v", err)
	}
	members, isObject := tree.(map[string]any)
	if inner, wrapped := members["taskDefinition"].(map[string]any); wrapped {
		if tags, given := members["tags"]; given {
			inner["tags"] = tags // describe-task-definition shows them beside it
		}
		members = inner
	}
	if !isObject {
		return bad("it is not a JSON object")
	}
	for _, key := range readOnly() {
		delete(members, key)
	}
	if unknown := unknownMembers("", members, reflect.TypeFor[ecs.RegisterTaskDefinitionInput]()); len(unknown) > 0 {
		return bad("ECS's RegisterTaskDefinition has no %s, as far as this version knows", strings.Join(unknown, ", "))
	}
	in := &ecs.RegisterTaskDefinitionInput{}
	plain, err := json.Marshal(members)
	if err == nil {
		err = json.Unmarshal(plain, in)
	}
	if err != nil {
		return bad("%s", strings.ReplaceAll(err.Error(), "Go struct field ", ""))
	}
	marked := 0
	for n, c := range in.ContainerDefinitions {
		if aws.ToString(c.Image) == imageMark {
			in.ContainerDefinitions[n].Image = aws.String(image)
			marked++
		}
	}
	if marked == 0 {
		return bad("no container has the image %q, so the new image would run nowhere", imageMark)
	}
	if rest, err := json.Marshal(in); err == nil && strings.Contains(string(rest), "{{") {
		return bad("it has another template than %s; render it before, as `ecspresso render task-definition` does", imageMark)
	}
	return in, nil
}

// readOnly are the members that only a described task definition has.
func readOnly() []string {
	var all []string
	described, input := reflect.TypeFor[types.TaskDefinition](), reflect.TypeFor[ecs.RegisterTaskDefinitionInput]()
	for i := range described.NumField() {
		if field := described.Field(i); field.IsExported() {
			if _, both := input.FieldByName(field.Name); !both {
				all = append(all, lowerFirst(field.Name))
			}
		}
	}
	return all
}

func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// unknownMembers lists the members of plain data that a type of the SDK has not, by their path.
func unknownMembers(path string, value any, t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var all []string
	switch v := value.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return nil // the keys of a map are data
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			field, known := t.FieldByName(strings.ToUpper(key[:min(1, len(key))]) + key[min(1, len(key)):])
			at := strings.TrimPrefix(path+"."+key, ".")
			if !known || !field.IsExported() || field.Anonymous || field.Name == "ResultMetadata" {
				all = append(all, at)
				continue
			}
			all = append(all, unknownMembers(at, v[key], field.Type)...)
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, item := range v {
			all = append(all, unknownMembers(fmt.Sprintf("%s[%d]", path, i), item, t.Elem())...)
		}
	}
	return slices.Compact(all)
}
