package awscall

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxAnswer bounds an answer; those of the operations in use are a few kilobytes.
const maxAnswer = 16 << 20

func (c *Client) write(at Endpoint, operation string, in any) middleware.SerializeMiddleware {
	return middleware.SerializeMiddlewareFunc("OperationSerializer", func(
		ctx context.Context, step middleware.SerializeInput, next middleware.SerializeHandler,
	) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
		request, is := step.Request.(*smithyhttp.Request)
		if !is {
			return out, metadata, &smithy.SerializationError{Err: fmt.Errorf("the request is a %T", step.Request)}
		}
		request.Method, request.URL = http.MethodPost, &at.URL
		if request, err = c.service.Protocol.Request(at, operation, in, request); err != nil {
			return out, metadata, &smithy.SerializationError{Err: err}
		}
		if hash := request.Header.Get("X-Amz-Content-Sha256"); hash != "" {
			ctx = v4.SetPayloadHash(ctx, hash)
		}
		step.Request = request
		return next.HandleSerialize(ctx, step)
	})
}

// post writes a body of bytes and the headers that it needs.
func post(r *smithyhttp.Request, body []byte, headers map[string]string) (*smithyhttp.Request, error) {
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r.SetStream(bytes.NewReader(body))
}

func (c *Client) read(operation string, into any) middleware.DeserializeMiddleware {
	return middleware.DeserializeMiddlewareFunc("OperationDeserializer", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {
		out, metadata, err = next.HandleDeserialize(ctx, in)
		if err != nil {
			return out, metadata, err
		}
		answer, is := out.RawResponse.(*smithyhttp.Response)
		if !is {
			return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("the answer is a %T", out.RawResponse)}
		}
		if id := answer.Header.Get("X-Amz-Request-Id"); id != "" {
			awsmiddleware.SetRequestIDMetadata(&metadata, id) // S3's name of it, which the SDK's core does not know
		}
		if answer.StatusCode < 200 || answer.StatusCode >= 300 {
			body, err := Body(answer)
			if err != nil {
				return out, metadata, &smithy.DeserializationError{Err: err}
			}
			return out, metadata, c.service.Protocol.Failure(answer, body)
		}
		if err := c.service.Protocol.Answer(operation, answer, into); err != nil {
			_ = answer.Body.Close() // an error is reported already
			var refused smithy.APIError
			if !errors.As(err, &refused) {
				err = &smithy.DeserializationError{Err: fmt.Errorf("failed to decode the answer: %w", err)}
			}
			return out, metadata, err
		}
		out.Result = into
		return out, metadata, nil
	})
}

// Body reads the whole body of an answer, and closes it.
func Body(answer *smithyhttp.Response) ([]byte, error) {
	defer func() { _ = answer.Body.Close() }() // it was read to its end, or an error is reported already
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("failed to read it: %w", err)
	}
	return body, nil
}

// Refusal is an answer with an error's status, whose code and message may be empty.
func Refusal(answer *smithyhttp.Response, code, message string) error {
	refused := &smithy.GenericAPIError{Code: cmp.Or(code, unknown), Message: cmp.Or(message, unknown), Fault: smithy.FaultClient}
	if answer.StatusCode >= 500 {
		refused.Fault = smithy.FaultServer
	}
	return refused
}

// unknown is the code of an error that has none that can be read, as in the SDK.
const unknown = "UnknownError"

// JSON is the protocol awsJson of the Smithy specification. Members are named by json tags.
type JSON struct {
	// Target begins X-Amz-Target; Version is 1.0 or 1.1.
	Target, Version string
}

// Request implements Protocol.
func (p JSON) Request(_ Endpoint, operation string, in any, r *smithyhttp.Request) (*smithyhttp.Request, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if in == nil {
		body = []byte("{}")
	}
	return post(r, body, map[string]string{"Content-Type": "application/x-amz-json-" + p.Version, "X-Amz-Target": p.Target + "." + operation})
}

// Answer implements Protocol.
func (JSON) Answer(_ string, answer *smithyhttp.Response, out any) error {
	body, err := Body(answer)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return json.Unmarshal(body, out)
}

// Failure implements Protocol.
func (JSON) Failure(answer *smithyhttp.Response, body []byte) error {
	var told struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	// What is not JSON comes from a proxy, and has neither code nor message.
	_ = json.Unmarshal(body, &told)
	// Such as com.amazonaws.logs#ResourceNotFoundException:http://...
	code, _, _ := strings.Cut(cmp.Or(answer.Header.Get("X-Amzn-Errortype"), told.Code, told.Type), ":")
	return Refusal(answer, code[strings.LastIndexByte(code, '#')+1:], told.Message)
}
