// Package overhttp serves the fake account of package fakeaws over HTTP, in the wire
// protocols that the AWS SDK speaks, with the faults of a network: what the in-memory
// fake proves of the code, this proves of the code and the SDK together, with its
// retries, its typed errors and its credentials.
//
// The protocols are those of the Smithy specification (smithy.io/2.0/aws/protocols and
// additional-specs/protocols/smithy-rpc-v2): AWS JSON for ECS, ECR, CloudWatch Logs and
// Application Auto Scaling; AWS Query for Elastic Load Balancing, IAM and STS; RPC v2
// CBOR, AWS JSON and AWS Query for CloudWatch, which answers all three; of the REST
// protocol of S3, reading and writing one object. Status codes and
// the codes of errors that every service has are from "Common Errors" in the services'
// API references. It was compared with the SDK's clients, never with a real account.
package overhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// service is one service of AWS as its clients see it.
type service struct {
	// name is what requests are signed for, prefix what IAM calls it.
	name, prefix string
	// target begins X-Amz-Target, path the path of CBOR; version is the query protocol's.
	target, path, version string
	// namespace is that of the XML, model that of the Smithy model.
	namespace, model string
	naming           naming
	operations       map[string]operation
}

func services(account *fakeaws.Account, tokens *STS) []*service {
	return []*service{
		{name: "ecs", prefix: "ecs", target: "AmazonEC2ContainerServiceV20141113", model: "com.amazonaws.ecs", naming: lowerCamel,
			operations: operationsOf(account.ECS)},
		{name: "elasticloadbalancing", prefix: "elasticloadbalancing", version: "2015-12-01",
			namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
			naming:    upperCamel, operations: operationsOf(account.Balancing)},
		{name: "application-autoscaling", prefix: "application-autoscaling", target: "AnyScaleFrontendService",
			model:  "com.amazonaws.applicationautoscaling",
			naming: upperCamel, operations: operationsOf(account.Scaling)},
		{name: "monitoring", prefix: "cloudwatch", target: "GraniteServiceVersion20100801",
			path: "/service/GraniteServiceVersion20100801/operation/", version: "2010-08-01",
			namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/", model: "com.amazonaws.cloudwatch", naming: upperCamel, operations: operationsOf(account.CloudWatch)},
		{name: "logs", prefix: "logs", target: "Logs_20140328", model: "com.amazonaws.cloudwatchlogs", naming: lowerCamel,
			operations: operationsOf(account.Logs)},
		{name: "ecr", prefix: "ecr", target: "AmazonEC2ContainerRegistry_V20150921", model: "com.amazonaws.ecr", naming: lowerCamel,
			operations: operationsOf(account.Images)},
		{name: "iam", prefix: "iam", version: "2010-05-08", namespace: "https://iam.amazonaws.com/doc/2010-05-08/", naming: upperCamel,
			operations: operationsOf(account.Roles)},
		{name: "sts", prefix: "sts", version: "2011-06-15", namespace: "https://sts.amazonaws.com/doc/2011-06-15/", naming: upperCamel,
			operations: operationsOf(tokens)},
	}
}

// Server serves one account. It carries out one request at a time.
type Server struct {
	// STS gives out and checks credentials.
	STS *STS
	// Allow, when set, is asked before an operation is carried out; an error refuses it.
	Allow func(request Request) error
	// Time, when set, is called with each request, so that time can pass on the fake's clock.
	Time func()

	services  []*service
	balancing *fakeaws.Balancing
	objects   *fakeaws.Objects
	now       func() time.Time
	tags      func(task string) map[string]string
	mu        sync.Mutex
	faults    map[string][]Fault
	calls     []Request
}

// Request is what was asked for, in the words of IAM.
type Request struct {
	// Action is such as ecs:UpdateService.
	Action string
	// Input is the SDK's input, such as *ecs.UpdateServiceInput.
	Input any
	// Key is the access key that signed it; empty for what is not signed.
	Key string
	// Tags are those of the task that it is about, where it is about one.
	Tags map[string]string
}

// New returns a server of an account.
func New(account *fakeaws.Account) *Server {
	s := &Server{STS: newSTS(account.Identity), faults: map[string][]Fault{}, balancing: account.Balancing, objects: account.Objects,
		now: account.Now, tags: account.ECS.TagsOf}
	s.services = services(account, s.STS)
	return s
}

// Requests are all requests that were understood, oldest first, whatever became of them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.calls...)
}

// Actions are the actions of those requests.
func (s *Server) Actions() []string {
	var all []string
	for _, r := range s.Requests() {
		all = append(all, r.Action)
	}
	return all
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.date(w)
	of, speaks := s.find(r, body)
	if of == nil && (r.Method == http.MethodGet || r.Method == http.MethodPut) && strings.Count(r.URL.Path, "/") >= 2 {
		s.serveObject(w, r, body)
		return
	}
	if of == nil {
		http.Error(w, "no service of AWS answers to this", http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Time != nil {
		s.Time()
		s.date(w)
	}
	name, tree, err := speaks.read(r, body)
	if err != nil {
		speaks.refuse(w, of, failure{code: "SerializationException", shape: "SerializationException", message: err.Error()})
		return
	}
	// What was asked and what is answered cross here: w is only written to at the end.
	answer := s.carry(r, of, speaks, name, tree)
	answer(w)
}

// date says when it is, by AWS.
func (s *Server) date(w http.ResponseWriter) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
}

// carry carries a request out and returns what writes its answer.
func (s *Server) carry(r *http.Request, of *service, speaks protocol, name string, tree any) func(http.ResponseWriter) {
	refuse := func(f failure) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { speaks.refuse(w, of, f) }
	}
	todo, known := of.operations[name]
	if !known {
		code := "UnknownOperationException"
		if speaks.text() {
			code = "InvalidAction"
		}
		return refuse(failure{code: code, shape: code, message: "The action or operation requested is not one of this fake: " + name})
	}
	input := reflect.New(todo.input)
	if err := (decoder{of.naming, speaks.text()}).decode(tree, input.Elem()); err != nil {
		return refuse(failure{code: "SerializationException", shape: "SerializationException", message: name + ": " + err.Error()})
	}
	request := Request{Action: of.prefix + ":" + name, Input: input.Interface(), Key: signer(r)}
	if stop, is := request.Input.(*ecs.StopTaskInput); is {
		request.Tags = s.tags(aws.ToString(stop.Task))
	}
	s.calls = append(s.calls, request)
	fault := s.next(request.Action)
	if fault.Reset || fault.Status != 0 || fault.Err != nil {
		if fault.Err != nil {
			return refuse(s.failure(of, fault.Err))
		}
		return fault.instead
	}
	if err := s.STS.check(r, name, speaks.text()); err != nil {
		return refuse(s.failure(of, err))
	}
	if s.Allow != nil && of.name != "sts" {
		if err := s.Allow(request); err != nil {
			code := "AccessDeniedException"
			if speaks.text() {
				code = "AccessDenied"
			}
			return refuse(failure{code: code, shape: code, message: err.Error()})
		}
	}
	out, err := todo.call(r.Context(), input)
	if lost := new(fakeaws.LostAnswer); errors.As(err, lost) || errors.Is(err, fakeaws.ErrCut) || fault.Lost {
		return Fault{Reset: true}.instead
	}
	if err != nil {
		return refuse(s.failure(of, err))
	}
	return func(w http.ResponseWriter) {
		result, _, err := encode(reflect.ValueOf(out), of.naming)
		if fault.Half {
			w = &half{ResponseWriter: w}
		}
		if err == nil {
			err = speaks.answer(w, of, name, result)
		}
		if err != nil {
			speaks.refuse(w, of, failure{code: "InternalFailure", shape: "InternalFailure", message: err.Error(), server: true})
		}
	}
}

// find says which service a request is for, and in which protocol.
func (s *Server) find(r *http.Request, body []byte) (*service, protocol) {
	target, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	version := ""
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := url.ParseQuery(string(body)); err == nil {
			version = form.Get("Version")
		}
	}
	for _, of := range s.services {
		switch {
		case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" && of.path != "" && strings.HasPrefix(r.URL.Path, of.path):
			return of, rpcCBOR{}
		case target != "" && target == of.target:
			_, version, _ := strings.Cut(r.Header.Get("Content-Type"), "x-amz-json-")
			return of, awsJSON{version}
		case version != "" && version == of.version:
			return of, query{}
		}
	}
	return nil, nil
}

// failure is what a service answers for an error of the fake.
func (s *Server) failure(of *service, err error) failure {
	var known smithy.APIError
	if !errors.As(err, &known) {
		return failure{code: "InternalFailure", shape: "InternalFailure", message: err.Error(), server: true}
	}
	f := failure{code: known.ErrorCode(), shape: known.ErrorCode(), message: known.ErrorMessage(),
		server: known.ErrorFault() == smithy.FaultServer, members: map[string]any{}}
	if of.name == "monitoring" {
		f.shape = cloudwatchShape(f.code)
	}
	if v := reflect.ValueOf(known); v.Kind() == reflect.Pointer && strings.HasSuffix(v.Type().Elem().PkgPath(), "/types") {
		tree, _, problem := encode(v, of.naming)
		if members, is := tree.(map[string]any); is && problem == nil {
			delete(members, of.naming("ErrorCodeOverride"))
			f.members = members
		}
	}
	return f
}

// cloudwatchShape is the model's name of an error that the query protocol has another
// code for.
func cloudwatchShape(code string) string {
	for id, entry := range cloudwatch.TypeRegistry.Entries {
		if entry.Schema == nil {
			continue
		}
		t, is := smithy.SchemaTrait[*traits.AWSQueryError](entry.Schema)
		// Two shapes have the code ResourceNotFound; a dashboard is what this fake misses.
		if is && t.ErrorCode == code && !strings.HasSuffix(id, "#ResourceNotFound") {
			return id[strings.IndexByte(id, '#')+1:]
		}
	}
	return code
}

// Hasten lets the fake's time pass with the world's from now on, so many times as fast: a
// bake of ten minutes is over while a client that looks every five seconds looks twice.
// It is called once, before the first request.
func (s *Server) Hasten(clock *fakeaws.Clock, times float64) {
	started := time.Now()
	s.Time = func() {
		now := started.Add(time.Duration(float64(time.Since(started)) * times))
		// Without a context that ends, this never fails.
		_ = clock.Sleep(context.Background(), max(0, now.Sub(clock.Now())))
	}
	s.Time()
}

// Listen serves on an address, such as 127.0.0.1:0, until the context ends, and returns
// the address of the endpoint.
func (s *Server) Listen(ctx context.Context, address string) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", address, err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}
