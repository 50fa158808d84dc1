// Command fakeaws serves the fake AWS of the tests over HTTP, to try the rollout by hand
// without an account:
//
//	go run ./tests/fakeaws
//
// It prints what to do next; docs/rollout.md, "Try it without an account", explains it.
//
// It checks no signatures and stores nothing. The address of a load balancer answers as the
// service behind it would. The flags for versions that go wrong take task definitions, by ARN
// or as family:revision, separated by commas: --crash tiny:2,tiny:4.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
)

// wrong are the ways in which a version can fail, by flag.
var wrong = map[string]struct {
	usage     string
	behaviour fakeaws.Behaviour
}{
	"crash":            {"end by themselves after 15 seconds", crash},
	"crash-in-service": {"do so in the service only, and not on trial", inService(crash)},
	"task-fails": {"run one-off tasks that end with exit code 3",
		fakeaws.Behaviour{Command: &fakeaws.Command{Exit: 3}, Log: []string{"no such table: users"}}},
	"slow":      {"take five minutes to be healthy", fakeaws.Behaviour{StartAfter: 5 * time.Minute}},
	"unhealthy": {"run and never pass their health check", fakeaws.Behaviour{NeverHealthy: true}},
	"no-room": {"find no capacity",
		fakeaws.Behaviour{NoCapacity: "was unable to place a task. Reason: Capacity is unavailable at this time. " +
			"Please try again later or in a different availability zone."}},
}

var crash = fakeaws.Behaviour{FailAfter: 15 * time.Second, Log: []string{"starting", "MemoryError"}, Failure: &fakeaws.Failure{
	Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1,
}}

func inService(b fakeaws.Behaviour) fakeaws.Behaviour {
	b.Alone = &fakeaws.Behaviour{}
	return b
}

// guide takes the address. The credentials are words that no report contains, as every
// occurrence of a secret is masked.
const guide = `AWS of the tests: %[1]s

In another terminal, at the root of the repository:

  export AWS_ENDPOINT_URL=%[1]s
  export AWS_ACCESS_KEY_ID=fakeaws-access-key AWS_SECRET_ACCESS_KEY=fakeaws-secret-key
  IMAGE=111122223333.dkr.ecr.ap-south-1.amazonaws.com/hello@sha256:$(printf 'a%%.0s' $(seq 64))
  go run ./ci/cmd/openstack-rca deploy --source examples/ecs --environment staging --ref main --image $IMAGE

Ctrl-C ends it, and forgets everything.
`

func main() {
	listen := flag.String("listen", "127.0.0.1:4566",
		"address to listen on; containers of an engine reach the host at the address of its bridge")
	times := flag.Float64("times", 60,
		"how many times as fast as real time; a minute of AWS takes a second at 60. The caller polls every five seconds "+
			"of real time, so far above 100 it misses too much")
	theirs := flag.Bool("theirs", false, "have services of somebody else in it: web and worker in cluster shop, to be adopted")
	errors := flag.String("errors", "", "task definitions of which 5 % of the requests fail, as the metrics of the load balancer tell")
	behave := map[string]*string{}
	for name, w := range wrong {
		behave[name] = flag.String(name, "", "task definitions whose tasks "+w.usage)
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := serve(ctx, *listen, *times, behave, *theirs, *errors)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakeaws:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, listen string, times float64, behave map[string]*string, theirs bool, errors string) error {
	clock := fakeaws.NewClock()
	account := fakeaws.NewAccount(clock)
	for name, definitions := range behave {
		for _, definition := range strings.FieldsFunc(*definitions, func(r rune) bool { return r == ',' }) {
			if !strings.HasPrefix(definition, "arn:") {
				definition = "arn:aws:ecs:ap-south-1:111122223333:task-definition/" + definition
			}
			account.ECS.Behave(definition, wrong[name].behaviour)
		}
	}
	account.CloudWatch.Publish(metricsOf(account, clock, errors))
	if theirs {
		if err := makeTheirs(ctx, account, clock); err != nil {
			return err
		}
	}
	server := overhttp.New(account)
	server.Hasten(clock, times)
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if err := server.OpenDoors(ctx, host); err != nil {
		return err
	}
	address, err := server.Listen(ctx, listen)
	if err != nil {
		return err
	}
	fmt.Printf(guide, address)
	<-ctx.Done()
	return nil
}
