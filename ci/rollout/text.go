package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Text renders the plan as a diff against an empty account: one block for each resource, with
// every member. The values are as they would be sent; secrets are ARNs only.
func (p *Plan) Text() string {
	var b strings.Builder
	resources := p.Resources()
	for _, resource := range resources {
		fmt.Fprintf(&b, "+ create %s %s\n", resource.Kind, strconv.Quote(resource.Name))
		for _, input := range resource.Inputs {
			tree(&b, "    ", wire.Encode(input))
		}
	}
	fmt.Fprintf(&b, "\nPlan: %d to create, 0 to change, 0 to delete.\n", len(resources))
	return b.String()
}

// tree prints plain data, one line for each value.
func tree(b *strings.Builder, indent string, value any) {
	members, ok := value.(map[string]any)
	if !ok {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		branch(b, indent, key, members[key])
	}
}

func branch(b *strings.Builder, indent, key string, value any) {
	switch v := value.(type) {
	case map[string]any:
		fmt.Fprintf(b, "%s+ %s\n", indent, key)
		tree(b, indent+"    ", v)
	case []any:
		if inline, ok := scalars(v); ok {
			fmt.Fprintf(b, "%s+ %s = [%s]\n", indent, key, inline)
			return
		}
		if pairs, ok := keyValues(v); ok {
			branch(b, indent, key, pairs)
			return
		}
		for i, item := range v {
			branch(b, indent, fmt.Sprintf("%s[%d]", key, i), item)
		}
	default:
		fmt.Fprintf(b, "%s+ %s = %s\n", indent, key, scalar(v))
	}
}

// keyValues turns a list of pairs, such as tags and variables, into a map, which prints one
// line for each pair instead of three.
func keyValues(all []any) (map[string]any, bool) {
	pairs := map[string]any{}
	for _, item := range all {
		members, ok := item.(map[string]any)
		if !ok || len(members) != 2 {
			return nil, false
		}
		for _, names := range [][2]string{{"key", "value"}, {"Key", "Value"}, {"name", "value"}, {"Name", "Value"}, {"name", "valueFrom"}} {
			key, isText := members[names[0]].(string)
			value, isThere := members[names[1]]
			if _, twice := pairs[key]; isText && isThere && !twice {
				pairs[key] = value
			}
		}
	}
	return pairs, len(pairs) == len(all)
}

func scalars(all []any) (string, bool) {
	words := make([]string, 0, len(all))
	for _, item := range all {
		switch item.(type) {
		case map[string]any, []any:
			return "", false
		}
		words = append(words, scalar(item))
	}
	return strings.Join(words, ", "), true
}

// scalar quotes strings, so that a value cannot start a new line.
func scalar(value any) string {
	if s, ok := value.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(value)
}

// Markdown renders the plan for rollout/plan.md of the report.
func (p *Plan) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Rollout plan: %s\n\n", p.Environment)
	fmt.Fprintf(&b, "%s\n\n", p.sentence())
	if !p.ImageBuilt {
		b.WriteString("**Image: not built.** The digest of zeros below is a placeholder; no image has it.\n\n")
	}
	if len(p.Examples) > 0 {
		b.WriteString("**Example values.** These keys are not set for this environment, and stand here with values made up:\n\n")
		for _, e := range p.Examples {
			fmt.Fprintf(&b, "- `%s`: `%s`\n", e.Key, e.Value)
		}
		b.WriteString("\n")
	}
	var kept, lost string
	if !p.Adopts() {
		kept, lost = p.settings.storage()
	}
	if kept != "" {
		fmt.Fprintf(&b, "Volumes that are kept: %s.\n\n", kept)
	}
	if lost != "" {
		fmt.Fprintf(&b, "Scratch volumes, fresh for each task and gone with it: %s.\n\n", lost)
	}
	b.WriteString("## Duration\n\n| Phase | Time |\n| --- | --- |\n")
	for _, phase := range p.Estimate.Phases {
		fmt.Fprintf(&b, "| %s | %s |\n", phase.Name, words(phase.Time))
	}
	fmt.Fprintf(&b, "| **Expected** | **%s** |\n| Given up after | %s |\n\n", words(p.Estimate.Total), words(p.Estimate.Deadline))
	if p.Adopts() {
		b.WriteString("The service is adopted: what it uses besides is left alone.\n\n")
	}
	b.WriteString("## What would be created, in this order\n\n")
	// Names and values were validated or are quoted; a fence longer than any run of tildes in
	// the text cannot be closed by it.
	text := p.Text()
	fence := "~~~"
	for strings.Contains(text, fence) {
		fence += "~"
	}
	fmt.Fprintf(&b, "%sdiff\n%s%s\n", fence, text, fence)
	return b.String()
}

func (p *Plan) sentence() string {
	s := p.settings
	if p.Adopts() {
		return fmt.Sprintf("A new image for service %s in cluster %s, account %s, region %s, which belongs to somebody else.", s.names.service,
			s.names.cluster, p.Account, p.Region)
	}
	return fmt.Sprintf("%d tasks (%d to %d) of %s vCPU and %d MiB behind a load balancer, account %s, region %s, strategy %s. "+
		"Nothing was called in AWS.",
		s.Desired, s.Min, s.Max, strconv.FormatFloat(float64(s.CPU)/1024, 'f', -1, 64), s.Memory, p.Account, p.Region, p.Strategy)
}

// words is a duration without the zeros: "1h30m", "12m10s", "30s".
func words(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Files are the plan's files for the report directory. The JSON files hold the inputs of
// the calls as the AWS CLI takes them; what does not exist yet is named in double braces.
func (p *Plan) Files() []verdict.ReportFile {
	if p.Adopts() {
		files := []verdict.ReportFile{{Path: "rollout/plan.md", Content: []byte(p.Markdown())}}
		if p.Adoption != nil {
			files = append(files, verdict.ReportFile{Path: "rollout/task-definition.json", Content: wire.JSON(p.TaskDefinition)})
		}
		return files
	}
	files := []verdict.ReportFile{
		{Path: "rollout/plan.md", Content: []byte(p.Markdown())},
		{Path: "rollout/task-definition.json", Content: wire.JSON(p.TaskDefinition)},
		{Path: "rollout/service.json", Content: encodeCalls(
			call{"createCluster", p.Cluster}, call{"createLogGroup", p.LogGroup.Group}, call{"putRetentionPolicy", p.LogGroup.Retention},
			call{"createService", p.Service})},
		{Path: "rollout/scaling.json", Content: encodeCalls(
			call{"registerScalableTarget", p.Scaling.Target}, call{"putScalingPolicy", p.Scaling.Policies})},
		{Path: "rollout/alarms.json", Content: encodeCalls(call{"putMetricAlarm", p.Alarms}, call{"putDashboard", p.Dashboard})},
	}
	if lb := p.LoadBalancer; p.Balanced() {
		listeners := []*elb.CreateListenerInput{lb.Listener}
		if lb.Redirect != nil {
			listeners = append(listeners, lb.Redirect)
		}
		files = slices.Insert(files, 3, verdict.ReportFile{Path: "rollout/load-balancer.json", Content: encodeCalls(
			call{"createLoadBalancer", lb.LoadBalancer}, call{"modifyLoadBalancerAttributes", lb.Attributes},
			call{"createTargetGroup", lb.TargetGroups}, call{"modifyTargetGroupAttributes", lb.TargetGroupAttributes},
			call{"createListener", listeners}, call{"createRule", lb.Rule})})
	}
	if r := p.ExecutionRole; r != nil {
		files = append(files, verdict.ReportFile{Path: "rollout/execution-role.json",
			Content: encodeCalls(call{"createRole", r.Role}, call{"putRolePolicy", r.Policy})})
	}
	return files
}

type call struct {
	name  string
	input any
}

// encodeCalls renders several inputs as one object, each under the name of its call.
func encodeCalls(calls ...call) []byte {
	all := map[string]any{}
	for _, c := range calls {
		all[c.name] = wire.Encode(c.input)
	}
	return wire.JSON(all)
}
