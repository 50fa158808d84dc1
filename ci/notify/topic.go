package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// refusedFor is the code of an answer of AWS.
var refusedFor = regexp.MustCompile(`<Code>([A-Za-z]{1,60})</Code>`)

// publish publishes the message to a topic of SNS. Its attributes let a subscription choose: verdict,
// code, environment, application, and the list events.
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
	body, err := form(topic, m)
	if err != nil {
		return err
	}
	headers, err := signed(ctx, to, region, credentials, body)
	if err != nil {
		return err
	}
	got, err := to.call(ctx, http.MethodPost, headers, body)
	if found := refusedFor.FindSubmatch(got.body); err != nil && found != nil {
		return fmt.Errorf("%w: %s", err, found[1])
	}
	return err
}

// form is the message as a request of SNS.
func form(topic string, m Message) ([]byte, error) {
	fields := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {topic}, "Message": {cut(m.plain(), maxBody/2)},
		"Subject": {subject(m.sign() + m.Title)}}
	n := 0
	attribute := func(name, kind, value string) {
		if value == "" {
			return // SNS refuses an empty one
		}
		n++
		at := "MessageAttributes.entry." + strconv.Itoa(n)
		fields.Set(at+".Name", name)
		fields.Set(at+".Value.DataType", kind)
		fields.Set(at+".Value.StringValue", value)
	}
	attribute("verdict", "String", string(m.Run.Verdict))
	attribute("code", "String", m.Run.Code)
	attribute("environment", "String", m.Run.Environment)
	attribute("application", "String", m.Run.Application)
	if len(m.Events) > 0 {
		list, err := json.Marshal(m.Events)
		if err != nil {
			return nil, err
		}
		attribute("events", "String.Array", string(list))
	}
	return []byte(fields.Encode()), nil
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

// signed are the headers of a request to SNS, with its signature.
func signed(ctx context.Context, to address, region string, credentials aws.Credentials, body []byte) (map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(string(body)))
	if err != nil {
		return nil, errors.New("the endpoint of AWS is not valid")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "sns", region, time.Now()); err != nil {
		return nil, errors.New("the request to SNS could not be signed")
	}
	headers := map[string]string{}
	for name := range request.Header {
		headers[name] = request.Header.Get(name)
	}
	return headers, nil
}
