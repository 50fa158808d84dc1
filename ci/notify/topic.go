package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// publish publishes the message to a topic of SNS. Its attributes let a subscription choose: verdict,
// code, environment, application, and the list events. It is signed with AWS's time, whatever this
// machine's clock says.
func publish(ctx context.Context, topic string, via Via, m Message) error {
	if via.Credentials == nil {
		return &Unconfigured{"the call has no credentials for AWS"}
	}
	region := strings.Split(topic, ":")[3] // config checked its form
	credentials, err := via.Credentials(ctx, region)
	if err != nil {
		return err
	}
	base := via.Endpoint
	if base == "" {
		base = partition.Endpoint("sns", region)
	}
	// An endpoint of the call is for every service of AWS, so it may be an emulator of this machine.
	to, err := parseAddress(strings.TrimSuffix(base, "/")+"/", via.Local || via.Endpoint != "")
	if err != nil {
		return err
	}
	in, err := publication(topic, m)
	if err != nil {
		return err
	}
	client := awscall.New(aws.Config{Region: region, BaseEndpoint: aws.String(to.String()), HTTPClient: to.client(), RetryMaxAttempts: 3,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
	}, awscall.Service{ID: "SNS", Name: "sns", Endpoint: awscall.Regional("sns", true), Protocol: awscall.Query{Version: "2010-03-31"}})
	_, err = awscall.Do[struct{ MessageId *string }](ctx, client, "Publish", in) //nolint:revive // the name in the API reference
	var status *smithyhttp.ResponseError
	switch refused := smithy.APIError(nil); {
	case errors.As(err, &refused) && errors.As(err, &status):
		return fmt.Errorf("HTTP %d: %s", status.HTTPStatusCode(), cut(refused.ErrorCode(), 60))
	case err != nil:
		return hidden(err)
	}
	return nil
}

// publishInput is a message with its attributes. Its fields are as in the API reference.
type publishInput struct {
	TopicArn, Message, Subject string
	MessageAttributes          map[string]attribute
}

type attribute struct{ DataType, StringValue string }

func publication(topic string, m Message) (*publishInput, error) {
	in := &publishInput{TopicArn: topic, Message: cut(m.plain(), maxBody/2), Subject: subject(m.sign() + m.Title),
		MessageAttributes: map[string]attribute{}}
	for name, value := range map[string]string{"verdict": string(m.Run.Verdict), "code": m.Run.Code, "environment": m.Run.Environment,
		"application": m.Run.Application} {
		if value != "" { // SNS refuses an empty one
			in.MessageAttributes[name] = attribute{"String", value}
		}
	}
	if len(m.Events) > 0 {
		list, err := json.Marshal(m.Events)
		if err != nil {
			return nil, err
		}
		in.MessageAttributes["events"] = attribute{"String.Array", string(list)}
	}
	return in, nil
}

// subject is a title as SNS takes it: printable ASCII, less than 100 characters, without line breaks.
func subject(title string) string {
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, oneLine(title))
	return printable[:min(len(printable), 99)]
}
