package awscall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

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
		body, headers, err := c.service.Protocol.request(operation, in)
		if err != nil {
			return out, metadata, &smithy.SerializationError{Err: err}
		}
		request.Method, request.URL = http.MethodPost, &at.URL
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		if request, err = request.SetStream(bytes.NewReader(body)); err != nil {
			return out, metadata, &smithy.SerializationError{Err: err}
		}
		request.ContentLength = int64(len(body))
		step.Request = request
		return next.HandleSerialize(ctx, step)
	})
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
		defer func() { _ = answer.Body.Close() }() // it was read to its end, or an error is reported already
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		if err != nil {
			return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("failed to read the answer: %w", err)}
		}
		if answer.StatusCode < 200 || answer.StatusCode >= 300 {
			refused := c.service.Protocol.failure(answer.Header, body)
			if refused.Fault = smithy.FaultClient; answer.StatusCode >= 500 {
				refused.Fault = smithy.FaultServer
			}
			return out, metadata, refused
		}
		if err := c.service.Protocol.answer(operation, body, into); err != nil {
			return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("failed to decode the answer: %w", err)}
		}
		out.Result = into
		return out, metadata, nil
	})
}

// unknown is the code of an error that has none that can be read, as in the SDK.
const unknown = "UnknownError"

// JSON is the protocol awsJson of the Smithy specification. Members are named by json tags.
type JSON struct {
	// Target begins X-Amz-Target; Version is 1.0 or 1.1.
	Target, Version string
}

func (p JSON) request(operation string, in any) (body []byte, headers map[string]string, err error) {
	if body, err = json.Marshal(in); err != nil {
		return nil, nil, err
	}
	if in == nil {
		body = []byte("{}")
	}
	return body, map[string]string{"Content-Type": "application/x-amz-json-" + p.Version, "X-Amz-Target": p.Target + "." + operation}, nil
}

func (JSON) answer(_ string, body []byte, out any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return json.Unmarshal(body, out)
}

func (JSON) failure(headers map[string][]string, body []byte) *smithy.GenericAPIError {
	var told struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	// What is not JSON comes from a proxy, and has neither code nor message.
	_ = json.Unmarshal(body, &told)
	code := http.Header(headers).Get("X-Amzn-Errortype")
	for _, other := range []string{told.Code, told.Type, unknown} {
		if code == "" {
			code = other
		}
	}
	// Such as com.amazonaws.logs#ResourceNotFoundException:http://...
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	if told.Message == "" {
		told.Message = unknown
	}
	return &smithy.GenericAPIError{Code: code, Message: told.Message}
}
