package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// theirImage is what the service of somebody else runs, by a tag.
const theirImage = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/hello:v1"

// makeTheirs makes services as Terraform would, with a sidecar, a secret and no tags of ours, and
// lets them run for an hour.
func makeTheirs(ctx context.Context, account *fakeaws.Account, clock *fakeaws.Clock) error {
	if _, err := account.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("shop")}); err != nil {
		return fmt.Errorf("create cluster: %w", err)
	}
	for _, name := range []string{"web", "worker"} {
		if err := makeService(ctx, account, name); err != nil {
			return err
		}
	}
	account.ECS.Tag(theirImage, "sha256:"+strings.Repeat("9", 64))
	return clock.Sleep(ctx, time.Hour)
}

// makeService makes one of their services.
func makeService(ctx context.Context, account *fakeaws.Account, name string) error {
	task, err := account.ECS.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(name), NetworkMode: types.NetworkModeAwsvpc, Cpu: aws.String("512"), Memory: aws.String("1024"),
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ExecutionRoleArn:        aws.String("arn:aws:iam::111122223333:role/shop-execution"),
		ContainerDefinitions: []types.ContainerDefinition{
			{
				Name: aws.String(name), Image: aws.String(theirImage), PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8501)}},
				Secrets: []types.Secret{{Name: aws.String("DB_PASSWORD"),
					ValueFrom: aws.String("arn:aws:secretsmanager:ap-south-1:111122223333:secret:shop-db-AbCdEf:password::")}},
				HealthCheck: &types.HealthCheck{Command: []string{"CMD-SHELL", "curl -f http://localhost:8501/health"}},
			},
			{Name: aws.String("otel"), Image: aws.String("public.ecr.aws/aws-observability/aws-otel-collector:v0.43.0"), Essential: aws.Bool(false)},
		},
		Tags: []types.Tag{{Key: aws.String("managed-by"), Value: aws.String("terraform")}},
	})
	if err != nil {
		return fmt.Errorf("register task definition: %w", err)
	}
	_, err = account.ECS.CreateService(ctx, &ecs.CreateServiceInput{
		Cluster: aws.String("shop"), ServiceName: aws.String(name), TaskDefinition: task.TaskDefinition.TaskDefinitionArn,
		DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: []string{"subnet-0123456789abcdef0"}, SecurityGroups: []string{"sg-0123456789abcdef0"},
		}},
	})
	if err != nil {
		return fmt.Errorf("create service: %w", err)
	}
	return nil
}

// metricsOf are the metrics of the load balancer: each target group gets a thousand requests a minute,
// of which a twentieth fails where one of the task definitions serves. They come a minute late.
func metricsOf(account *fakeaws.Account, clock *fakeaws.Clock, failing string) fakeaws.Series {
	return func(metric cloudwatch.MetricStat, period time.Time) (float64, bool) {
		if clock.Now().Before(period.Add(2 * time.Minute)) {
			return 0, false
		}
		bad := false
		for _, d := range metric.Metric.Dimensions {
			if aws.ToString(d.Name) != "TargetGroup" {
				continue
			}
			serves := account.ECS.In(aws.ToString(d.Value))
			for _, definition := range strings.FieldsFunc(failing, func(r rune) bool { return r == ',' }) {
				bad = bad || strings.HasSuffix(serves, "/"+definition)
			}
		}
		switch aws.ToString(metric.Metric.MetricName) {
		case "RequestCount":
			return 1000, true
		case "HTTPCode_Target_5XX_Count":
			return 50, bad // it publishes no zeros
		default:
			return 0, false
		}
	}
}
