package ensure

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

func ecsTags(all []types.Tag) map[string]string {
	out := map[string]string{}
	for _, t := range all {
		out[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return out
}

// foundations looks at the cluster, the log group and the execution role.
type foundations struct{ *State }

// cluster is nil when it does not exist. A deleted cluster is still described for a while.
func (s foundations) cluster(ctx context.Context) (*types.Cluster, error) {
	name := aws.ToString(s.plan.Cluster.ClusterName)
	out, err := s.clients.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{
		Clusters: []string{name}, Include: []types.ClusterField{types.ClusterFieldSettings, types.ClusterFieldTags},
	})
	if err != nil {
		return nil, fmt.Errorf("describe cluster %s: %w", name, err)
	}
	for _, c := range out.Clusters {
		if aws.ToString(c.Status) != "INACTIVE" {
			return &c, nil
		}
	}
	return nil, nil
}

func (s foundations) lookAtCluster(ctx context.Context) error {
	want := s.plan.Cluster
	have, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	i := s.add("ecs cluster", aws.ToString(want.ClusterName))
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error { _, err := s.clients.ECS.CreateCluster(ctx, want); return err }
		return nil
	}
	for n := range have.Settings {
		// The enhanced kind has the metrics of the plain one, and more.
		if have.Settings[n].Name == types.ClusterSettingNameContainerInsights && aws.ToString(have.Settings[n].Value) == "enhanced" {
			have.Settings[n].Value = aws.String("enabled")
		}
	}
	i.differs(compare(wire.Encode(have), wire.Encode(want)))
	s.share(i, ecsTags(have.Tags))
	s.blind = i.Action == Adopt && slices.ContainsFunc(have.Settings, func(c types.ClusterSetting) bool {
		return c.Name == types.ClusterSettingNameContainerInsights && aws.ToString(c.Value) == "disabled"
	})
	i.write = func(ctx context.Context) error {
		_, err := s.clients.ECS.UpdateClusterSettings(ctx, &ecs.UpdateClusterSettingsInput{Cluster: want.ClusterName, Settings: want.Settings})
		return err
	}
	return nil
}

// share uses what is not ours as it is: clusters and log groups often serve several.
func (s foundations) share(i *item, tags map[string]string) {
	if !s.own(i, tags) {
		i.Action, i.foreign = Adopt, ""
	}
}

// logGroup is nil when it does not exist.
func (s foundations) logGroup(ctx context.Context) (*logs.LogGroup, error) {
	name := s.plan.LogGroup.Group.LogGroupName
	in := &logs.DescribeLogGroupsInput{LogGroupNamePrefix: name}
	for {
		out, err := s.clients.Logs.DescribeLogGroups(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describe log group %s: %w", *name, err)
		}
		for _, g := range out.LogGroups {
			if aws.ToString(g.LogGroupName) == *name {
				return &g, nil
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return nil, nil
		}
	}
}

// logGroupARN is the group's ARN without the stream part that some versions of the API
// put behind it.
func logGroupARN(g *logs.LogGroup) string {
	if arn := aws.ToString(g.LogGroupArn); arn != "" {
		return arn
	}
	arn := aws.ToString(g.Arn)
	if len(arn) > 2 && arn[len(arn)-2:] == ":*" {
		arn = arn[:len(arn)-2]
	}
	return arn
}

func (s foundations) lookAtLogGroup(ctx context.Context) error {
	want := s.plan.LogGroup
	have, err := s.logGroup(ctx)
	if err != nil {
		return err
	}
	i := s.add("log group", *want.Group.LogGroupName)
	retain := func(ctx context.Context) error {
		_, err := s.clients.Logs.PutRetentionPolicy(ctx, want.Retention)
		return err
	}
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			if _, err := s.clients.Logs.CreateLogGroup(ctx, want.Group); err != nil && !is(err, "ResourceAlreadyExistsException") {
				return err
			}
			return retain(ctx)
		}
		return nil
	}
	out, err := s.clients.Logs.ListTagsForResource(ctx, &logs.ListTagsForResourceInput{ResourceArn: aws.String(logGroupARN(have))})
	if err != nil {
		return fmt.Errorf("list tags of log group %s: %w", i.Name, err)
	}
	if policy := aws.ToString(have.RetentionPolicyName); policy != "" {
		// A policy of the account says how long logs are kept. It overrides what is set here, which
		// is saved and never described (API reference, PutRetentionPolicy).
		i.Note = "kept as long as the account's retention policy " + policy + " says"
	} else {
		i.differs(compare(wire.Encode(have), wire.Encode(want.Retention)))
	}
	s.share(i, out.Tags)
	i.write = retain
	return nil
}
