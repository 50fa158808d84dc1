// Command fakeaws serves the tests' AWS over HTTP, to try the rollout by hand without an
// account:
//
//	go run ./tests/fakeaws --listen 127.0.0.1:4566 &
//	export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=none
//	openstack-rca deploy --environment staging --aws-endpoint-url http://127.0.0.1:4566 --image ...
//
// It knows no signatures and keeps nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4566", "address to listen on; containers of an engine reach the host at the address of its bridge")
	times := flag.Float64("times", 60, "how many times as fast as the world's time passes")
	crash := flag.String("crash", "", "ARNs of task definitions whose tasks crash, separated by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, *listen, *times, *crash); err != nil {
		fmt.Fprintln(os.Stderr, "fakeaws:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, listen string, times float64, crash string) error {
	clock := fakeaws.NewClock()
	account := fakeaws.NewAccount(clock)
	for _, arn := range strings.FieldsFunc(crash, func(r rune) bool { return r == ',' }) {
		account.ECS.Behave(arn, fakeaws.Behaviour{FailAfter: 15 * time.Second, Failure: &fakeaws.Failure{
			Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1,
		}})
	}
	server := overhttp.New(account)
	server.Hasten(clock, times)
	address, err := server.Listen(ctx, listen)
	if err != nil {
		return err
	}
	fmt.Println(address)
	<-ctx.Done()
	return nil
}
