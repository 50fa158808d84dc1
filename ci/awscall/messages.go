package awscall

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
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

// Query is the protocol awsQuery of the Smithy specification. Members of requests are named by
// their fields; answers are decoded by xml tags, below the element <Operation>Result.
type Query struct{ Version string }

func (p Query) request(operation string, in any) (body []byte, headers map[string]string, err error) {
	form := url.Values{"Action": {operation}, "Version": {p.Version}}
	if in != nil {
		if err := members(form, "", reflect.ValueOf(in)); err != nil {
			return nil, nil, err
		}
	}
	return []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, nil
}

// members writes a value: those of a structure below its name, those of a list as name.member.N.
func members(form url.Values, name string, v reflect.Value) error {
	below := func(part string) string {
		if name == "" {
			return part
		}
		return name + "." + part
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return members(form, name, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if err := members(form, below(v.Type().Field(i).Name), v.Field(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		for i := range v.Len() {
			if err := members(form, below("member."+strconv.Itoa(i+1)), v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.String:
		if v.Len() > 0 || v.Type() == reflect.TypeFor[string]() { // an empty value of an enumeration is not sent
			form.Set(name, v.String())
		}
		return nil
	case reflect.Bool:
		form.Set(name, strconv.FormatBool(v.Bool()))
		return nil
	case reflect.Int32, reflect.Int64:
		form.Set(name, strconv.FormatInt(v.Int(), 10))
		return nil
	default:
		return fmt.Errorf("member %s is a %s", name, v.Kind())
	}
}

func (Query) answer(operation string, body []byte, out any) error {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil // operations that return nothing have no result
		}
		if err != nil {
			return err
		}
		if start, is := token.(xml.StartElement); is && start.Name.Local == operation+"Result" {
			return decoder.DecodeElement(out, &start)
		}
	}
}

func (Query) failure(_ map[string][]string, body []byte) *smithy.GenericAPIError {
	var told struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	// What is not XML comes from a proxy, and has neither code nor message.
	_ = xml.Unmarshal(body, &told)
	if told.Code == "" {
		told.Code = unknown
	}
	if told.Message == "" {
		told.Message = unknown
	}
	return &smithy.GenericAPIError{Code: told.Code, Message: told.Message}
}
