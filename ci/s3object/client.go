package s3object

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// Client calls the operations of Amazon S3 that are used, of AWS or of another store. They are
// named as in the API reference; members that are empty are not sent. It is safe for concurrent
// use. What it returns is for Wrap.
type Client struct{ api *awscall.Client }

// NewClient returns a client with the region, credentials, retries and transport of a
// configuration. endpoint is an S3 API other than the configuration's. Buckets are addressed by
// path with any endpoint other than AWS's own; byPath asks for it on AWS too.
func NewClient(cfg aws.Config, endpoint string, byPath bool) *Client {
	if endpoint != "" {
		cfg.BaseEndpoint, cfg.ConfigSources = &endpoint, nil
	}
	cfg.HTTPClient = staying(cfg.HTTPClient)
	return &Client{awscall.New(cfg, awscall.Service{ID: "S3", Name: "s3", Endpoint: resolve, Protocol: protocol{byPath}})}
}

// staying is a client that follows no redirect: the signature is for the one host, and another is not to have what is
// stored. The SDK's follows two kinds, and what comes of it is "access denied".
func staying(c aws.HTTPClient) aws.HTTPClient {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c == nil {
		c = awshttp.NewBuildableClient()
	}
	switch of := c.(type) {
	case *awshttp.BuildableClient:
		return &http.Client{Transport: of.GetTransport(), Timeout: of.GetTimeout(), CheckRedirect: stay}
	case *http.Client:
		own := *of
		own.CheckRedirect = stay
		return &own
	}
	return c
}

// resolve is where S3 is in a region. Its names with IPv6 have the same suffix as those without.
func resolve(region string, v awscall.Variant) (awscall.Endpoint, error) {
	p, known := partition.Of(region)
	if !known {
		return awscall.Endpoint{}, fmt.Errorf("failed to resolve service endpoint, %q is no region", region)
	}
	name := "s3"
	if v.FIPS {
		name += "-fips"
	}
	if v.DualStack {
		name += ".dualstack"
	}
	return awscall.Endpoint{URL: url.URL{Scheme: "https", Host: name + "." + region + "." + p.DNSSuffix, Path: "/"}, Region: region}, nil
}

// request is what an operation sends.
type request struct {
	method, bucket, key string
	// ofBucket is a request about the bucket itself, which has no key.
	ofBucket       bool
	query, headers map[string]string
	// body is read once more by each attempt.
	body io.ReadSeeker
	// content is a body that becomes an object. Over https its hash is not computed, as in the SDK:
	// it may be large.
	content bool
}

// continueFrom is the size of content, in bytes, from which a store is asked first whether it takes it.
const continueFrom = 2 << 20

// protocol is how S3 is spoken to: addresses that name bucket and key, and XML.
type protocol struct{ byPath bool }

// Request implements awscall.Protocol.
func (p protocol) Request(at awscall.Endpoint, _ string, in any, r *smithyhttp.Request) (*smithyhttp.Request, error) {
	sent, is := in.(*request)
	if !is || sent.bucket == "" || (sent.key == "") != sent.ofBucket {
		return nil, errors.New("the request has no bucket or no key") // without its key it would be another request
	}
	if id, ofUpload := sent.query["uploadId"]; ofUpload && id == "" {
		return nil, errors.New("the request has no upload id")
	}
	r.Method = sent.method
	path := strings.TrimSuffix(at.URL.EscapedPath(), "/") + "/"
	// A certificate for *.s3... does not hold for a bucket with a dot.
	if p.byPath || at.Configured || strings.Contains(sent.bucket, ".") {
		path += httpbinding.EscapePath(sent.bucket, true)
		if sent.key != "" {
			path += "/"
		}
	} else {
		r.URL.Host = sent.bucket + "." + at.URL.Host
	}
	path += httpbinding.EscapePath(sent.key, false)
	var err error
	if r.URL.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	r.URL.RawPath = path
	query := url.Values{}
	for name, value := range sent.query {
		query.Set(name, value)
	}
	r.URL.RawQuery = query.Encode()
	for _, name := range slices.Sorted(maps.Keys(sent.headers)) {
		if value := sent.headers[name]; value != "" {
			r.Header.Set(name, value)
		}
	}
	r.Header.Set("Accept-Encoding", "identity") // or net/http asks for gzip, and the length is lost
	return attach(sent, r)
}

// attach adds the body, with the hash that is signed for it.
func attach(sent *request, r *smithyhttp.Request) (*smithyhttp.Request, error) {
	r, err := r.SetStream(sent.body)
	if err != nil {
		return nil, err
	}
	if sent.content && r.ContentLength >= continueFrom {
		r.Header.Set("Expect", "100-continue")
	}
	hash := "UNSIGNED-PAYLOAD"
	if !sent.content || !r.IsHTTPS() {
		h := sha256.New()
		if stream := r.GetStream(); stream != nil {
			if _, err := io.Copy(h, stream); err != nil {
				return nil, err
			}
		}
		if err := r.RewindStream(); err != nil {
			return nil, err
		}
		hash = hex.EncodeToString(h.Sum(nil))
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	return r, nil
}

// Outputs are taken from the headers of an answer, or read from its document.
type (
	inHeaders  interface{ take(answer *http.Response) }
	inDocument interface{ read(document []byte) error }
)

// Answer implements awscall.Protocol.
func (p protocol) Answer(_ string, answer *smithyhttp.Response, out any) error {
	if isWebPage(answer.Response) {
		return webPage(answer.Response, nil)
	}
	if object, is := out.(*GetObjectOutput); is { // its body is not in memory
		object.take(answer.Response)
		return nil
	}
	body, err := awscall.Body(answer)
	if err != nil {
		return err
	}
	name, err := root(body)
	if _, wanted := out.(inDocument); wanted && name == "" && err == nil {
		return webPage(answer.Response, body)
	}
	switch {
	case err != nil:
		return err
	case strings.EqualFold(name, "Error"):
		// An operation that takes long begins to answer before it knows its end.
		answer.StatusCode = http.StatusInternalServerError
		return p.Failure(answer, body)
	}
	switch out := out.(type) {
	case inHeaders:
		out.take(answer.Response)
	case inDocument:
		return out.read(body)
	}
	return nil
}

// root is the name of a document's first element; empty where there is none.
func root(body []byte) (string, error) {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if start, is := token.(xml.StartElement); is {
			return start.Name.Local, nil
		}
	}
}

// Failure implements awscall.Protocol.
func (protocol) Failure(answer *smithyhttp.Response, body []byte) error {
	if err := redirected(answer.Response); err != nil {
		return err
	}
	if isWebPage(answer.Response) {
		return webPage(answer.Response, nil)
	}
	var told struct{ Code, Message string }
	// What is not XML comes from a proxy, and has neither code nor message.
	_ = xml.Unmarshal(body, &told)
	if told.Code == "" && told.Message == "" { // an answer to HEAD has no body
		if isForeign(answer.Response, body) {
			return webPage(answer.Response, body)
		}
		told.Message = http.StatusText(answer.StatusCode)
		told.Code = strings.ReplaceAll(told.Message, " ", "")
		if words := titleOf(body); words != "" {
			told.Message = words
		}
	}
	return awscall.Refusal(answer, told.Code, told.Message)
}
