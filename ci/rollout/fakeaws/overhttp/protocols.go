package overhttp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// protocol is how a request is read and an answer is written.
type protocol interface {
	// read returns the operation's name and its members as a tree.
	read(r *http.Request, body []byte) (operation string, tree any, err error)
	// answer writes the result of an operation.
	answer(w http.ResponseWriter, s *service, operation string, tree any) error
	// refuse writes an error.
	refuse(w http.ResponseWriter, s *service, f failure)
	// text is set if values are written as strings.
	text() bool
}

// failure is an error as a service answers it.
type failure struct {
	// code is what the query protocol calls it, shape what the model calls it.
	code, shape, message string
	server               bool
	// members are those of a modelled error.
	members map[string]any
}

func (f failure) status() int {
	switch {
	case f.code == "ServiceUnavailable" || f.code == "ServiceUnavailableException":
		return http.StatusServiceUnavailable
	case f.server:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

func requestID(w http.ResponseWriter) string {
	const id = "00000000-0000-4000-8000-000000000000"
	w.Header().Set("X-Amzn-Requestid", id)
	return id
}

// awsJSON is "AWS JSON 1.0 and 1.1 protocols" of the Smithy specification: the operation
// is in X-Amz-Target, times are seconds since 1970, the error's name is in __type.
type awsJSON struct{ version string }

func (awsJSON) text() bool { return false }

func (awsJSON) read(r *http.Request, body []byte) (string, any, error) {
	_, operation, found := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !found {
		return "", nil, errors.New("no operation in X-Amz-Target")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return operation, nil, fmt.Errorf("read JSON: %w", err)
	}
	return operation, tree, nil
}

func (p awsJSON) answer(w http.ResponseWriter, _ *service, _ string, tree any) error {
	content, err := json.Marshal(forJSON(tree))
	if err != nil {
		return err
	}
	requestID(w)
	w.Header().Set("Content-Type", "application/x-amz-json-"+p.version)
	_, err = w.Write(content)
	return err
}

func (p awsJSON) refuse(w http.ResponseWriter, s *service, f failure) {
	body := map[string]any{"__type": s.model + "#" + f.shape, s.naming("Message"): f.message}
	maps.Copy(body, f.members)
	content, err := json.Marshal(forJSON(body))
	if err != nil {
		content = []byte(`{"__type":"InternalFailure"}`)
	}
	requestID(w)
	w.Header().Set("Content-Type", "application/x-amz-json-"+p.version)
	w.WriteHeader(f.status())
	_, _ = w.Write(content)
}

// forJSON writes times and bytes as JSON has them.
func forJSON(tree any) any {
	switch value := tree.(type) {
	case time.Time:
		return toEpoch(value)
	case []byte:
		return base64.StdEncoding.EncodeToString(value)
	case map[string]any:
		all := make(map[string]any, len(value))
		for key, item := range value {
			all[key] = forJSON(item)
		}
		return all
	case entries:
		return forJSON(map[string]any(value))
	case []any:
		all := make([]any, 0, len(value))
		for _, item := range value {
			all = append(all, forJSON(item))
		}
		return all
	default:
		return tree
	}
}

// query is "AWS Query protocol" of the Smithy specification: a form in, XML out.
type query struct{}

func (query) text() bool { return true }

func (query) read(_ *http.Request, body []byte) (string, any, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil, fmt.Errorf("read form: %w", err)
	}
	operation := form.Get("Action")
	root := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(form)) {
		if key == "Action" || key == "Version" {
			continue
		}
		at := root
		path := strings.Split(key, ".")
		for _, part := range path[:len(path)-1] {
			next, is := at[part].(map[string]any)
			if !is {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[path[len(path)-1]] = form.Get(key)
	}
	return operation, root, nil
}

func (query) answer(w http.ResponseWriter, s *service, operation string, tree any) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%sResponse xmlns=%q>", operation, s.namespace)
	if err := writeXML(&b, operation+"Result", tree); err != nil {
		return err
	}
	fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>", requestID(w), operation)
	w.Header().Set("Content-Type", "text/xml")
	_, err := w.Write(b.Bytes())
	return err
}

func (query) refuse(w http.ResponseWriter, s *service, f failure) {
	fault := "Sender"
	if f.server {
		fault = "Receiver"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<ErrorResponse xmlns=%q><Error>", s.namespace)
	for _, element := range []struct{ name, content string }{{"Type", fault}, {"Code", f.code}, {"Message", f.message}} {
		// A string is always written.
		_ = writeXML(&b, element.name, element.content)
	}
	fmt.Fprintf(&b, "</Error><RequestId>%s</RequestId></ErrorResponse>", requestID(w))
	w.Header().Set("Content-Type", "text/xml")
	status := f.status()
	if f.code == "AccessDenied" || f.code == "ExpiredToken" || f.code == "InvalidClientTokenId" || f.code == "SignatureDoesNotMatch" {
		status = http.StatusForbidden // "Common Errors" of the API references with this protocol
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func writeXML(b *bytes.Buffer, name string, tree any) error {
	fmt.Fprintf(b, "<%s>", name)
	var err error
	text := func(s string) { err = errors.Join(err, xml.EscapeText(b, []byte(s))) }
	switch value := tree.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			err = errors.Join(err, writeXML(b, key, value[key]))
		}
	case entries:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			err = errors.Join(err, writeXML(b, "entry", map[string]any{"key": key, "value": value[key]}))
		}
	case []any:
		for _, item := range value {
			err = errors.Join(err, writeXML(b, "member", item))
		}
	case string:
		text(value)
	case time.Time:
		text(value.UTC().Format("2006-01-02T15:04:05.999Z07:00"))
	case []byte:
		text(base64.StdEncoding.EncodeToString(value))
	case int64:
		text(strconv.FormatInt(value, 10))
	case float64:
		text(strconv.FormatFloat(value, 'g', -1, 64))
	case bool:
		text(strconv.FormatBool(value))
	default:
		err = fmt.Errorf("no XML for a %T", tree)
	}
	fmt.Fprintf(b, "</%s>", name)
	return err
}

// rpcCBOR is "Smithy RPC v2 CBOR protocol": the operation is in the path, times carry tag 1.
type rpcCBOR struct{}

func (rpcCBOR) text() bool { return false }

func (rpcCBOR) read(r *http.Request, body []byte) (string, any, error) {
	operation := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if len(body) == 0 {
		return operation, map[string]any{}, nil
	}
	value, err := cbor.Decode(body)
	if err != nil {
		return operation, nil, fmt.Errorf("read CBOR: %w", err)
	}
	tree, err := fromCBOR(value)
	return operation, tree, err
}

func (rpcCBOR) answer(w http.ResponseWriter, _ *service, _ string, tree any) error {
	value, err := toCBOR(tree)
	if err != nil {
		return err
	}
	requestID(w)
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	_, err = w.Write(cbor.Encode(value))
	return err
}

func (rpcCBOR) refuse(w http.ResponseWriter, s *service, f failure) {
	fault := "Sender"
	if f.server {
		fault = "Receiver"
	}
	// Clients of the older protocol's names find them in this header.
	w.Header().Set("X-Amzn-Query-Error", f.code+";"+fault)
	body := cbor.Map{"__type": cbor.String(s.model + "#" + f.shape), "message": cbor.String(f.message), "Message": cbor.String(f.message)}
	requestID(w)
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	w.WriteHeader(f.status())
	_, _ = w.Write(cbor.Encode(body))
}

func toCBOR(tree any) (cbor.Value, error) {
	switch value := tree.(type) {
	case map[string]any:
		all := cbor.Map{}
		for key, item := range value {
			member, err := toCBOR(item)
			if err != nil {
				return nil, err
			}
			all[key] = member
		}
		return all, nil
	case entries:
		return toCBOR(map[string]any(value))
	case []any:
		all := cbor.List{}
		for _, item := range value {
			member, err := toCBOR(item)
			if err != nil {
				return nil, err
			}
			all = append(all, member)
		}
		return all, nil
	case string:
		return cbor.String(value), nil
	case bool:
		return cbor.Bool(value), nil
	case []byte:
		return cbor.Slice(value), nil
	case float64:
		return cbor.Float64(value), nil
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(toEpoch(value))}, nil
	case int64:
		if value < 0 {
			return cbor.NegInt(uint64(-value)), nil
		}
		return cbor.Uint(uint64(value)), nil
	default:
		return nil, fmt.Errorf("no CBOR for a %T", tree)
	}
}

func fromCBOR(value cbor.Value) (any, error) {
	switch v := value.(type) {
	case cbor.Map:
		all := map[string]any{}
		for key, item := range v {
			member, err := fromCBOR(item)
			if err != nil {
				return nil, err
			}
			all[key] = member
		}
		return all, nil
	case cbor.List:
		all := make([]any, 0, len(v))
		for _, item := range v {
			member, err := fromCBOR(item)
			if err != nil {
				return nil, err
			}
			all = append(all, member)
		}
		return all, nil
	case cbor.String:
		return string(v), nil
	case cbor.Bool:
		return bool(v), nil
	case cbor.Slice:
		return []byte(v), nil
	case cbor.Float64:
		return float64(v), nil
	case cbor.Float32:
		return float64(v), nil
	case cbor.Uint:
		if uint64(v) > math.MaxInt64 {
			return nil, fmt.Errorf("%d is too large", v)
		}
		return int64(v), nil
	case cbor.NegInt:
		return -int64(v), nil
	case *cbor.Nil:
		return nil, nil
	case *cbor.Tag:
		at, err := cbor.AsTime(v)
		return at, err
	default:
		return nil, fmt.Errorf("no member is a %T", value)
	}
}
