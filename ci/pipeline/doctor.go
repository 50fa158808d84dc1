package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// explain returns all causes of a check's error, and the remedy of its first problem with a code, or else the check's own
// remedy.
func explain(err error, remedy string) (causes []string, next string) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // split the joined error only, not the errors that it wraps
		all = joined.Unwrap()
	}
	next = remedy
	for i, one := range all {
		var problem *verdict.Problem
		if !errors.As(one, &problem) {
			causes = append(causes, one.Error())
			continue
		}
		causes = append(causes, problem.Code.Name+": "+problem.Cause)
		if i == 0 {
			next = cmp.Or(problem.Next, problem.Code.Remedy)
		}
	}
	return causes, next
}

// doubtful is a warning: something that no run fails for.
type doubtful struct{ text string }

func (d *doubtful) Error() string { return d.text }

// unchecked is the result of a check that could not be made. It is neither ok nor a failure; next says how to enable it.
type unchecked struct{ why, next string }

func (u *unchecked) Error() string { return "not checked: " + u.why }

// refusal is the result of a check that the policy gives no credentials.
func refusal(refused *verdict.Stage) error {
	return &unchecked{refused.Cause, "call doctor as the run is called, with its --ref and --environment; what a run of this ref does not " +
		"get, it does not need"}
}

// checkClock compares this machine's clock with AWS's if the environment is on AWS. It needs no credentials.
func (s doctor) checkClock() []check {
	if s.opts.sandbox() {
		return nil
	}
	return []check{{"clock", func(ctx context.Context) (string, error) {
		r := s.cfg.Rollout
		if r.Account == "" {
			return "", noAccount
		}
		address := cmp.Or(os.Getenv("AWS_ENDPOINT_URL"), partition.Endpoint("sts", r.Region))
		ahead, err := awsclock.Ask(ctx, address)
		if err != nil {
			return "", &unchecked{err.Error(), "check that AWS answers from here: proxy, firewall, rollout.region, AWS_ENDPOINT_URL"}
		}
		if wrong := awsclock.Skew(ahead, "that of "+address); wrong != "" {
			return "", &doubtful{wrong}
		}
		return fmt.Sprintf("within %s of %s", awsclock.Tolerated, address), nil
	}, awsclock.Remedy}}
}

// checkSource checks everything that precedes the first stage, and reads the configuration for the checks that follow.
func (s doctor) checkSource() []check {
	all := []check{
		{"source", func(ctx context.Context) (string, error) {
			cfg, problems := configure(ctx, s.backend, s.opts.Environment)
			if len(problems) > 0 { // reported by the next check
				cfg = config.Default()
				if files, err := s.backend.Source.List(ctx); err == nil {
					leaveOut(&cfg, files)
				}
			}
			names, problem := listSource(ctx, s.backend, cfg)
			if problem != nil {
				return "", problem
			}
			return fmt.Sprintf("%d files", len(names)), nil
		}, CodeSourceUnreadable.Remedy},
		{"pipeline.yaml", func(ctx context.Context) (string, error) {
			var problems []*verdict.Problem
			s.cfg, problems = configure(ctx, s.backend, s.opts.Environment)
			if len(problems) > 0 {
				all := make([]error, len(problems))
				for i, problem := range problems {
					all[i] = problem
				}
				return "", errors.Join(all...)
			}
			return "valid for " + s.opts.Environment, nil
		}, config.CodeInvalid.Remedy},
	}
	if s.backend.BuildImage == nil {
		all = append(all, check{"engine", func(context.Context) (string, error) {
			return "", &doubtful{"none: the image stage does not run here, and deploy takes --image"}
		}, policy.CodeNoEngine.Remedy})
	}
	if !s.opts.sandbox() {
		all = append(all, check{"ref", func(context.Context) (string, error) {
			if s.opts.Ref == "" {
				return "", errors.New("outside of the sandbox a call has to name its branch, tag or pull request")
			}
			return s.opts.Ref, nil
		}, CodeRefMissing.Remedy})
	}
	return all
}

// choosePython chooses the Python version for the checks. An error is reported by one of them.
func (s doctor) choosePython(ctx context.Context) {
	if s.cfg.Python == "" {
		s.cfg = config.Default()
	}
	s.python.err = choosePython(ctx, s.backend.Source, &s.cfg, s.opts.Python)
}

func (s doctor) checkPython() []check {
	return []check{{"python", func(ctx context.Context) (string, error) {
		if s.python.err != nil {
			return "", s.python.err
		}
		version := s.cfg.Python
		result, err := s.backend.Runner.Run(ctx, runner.Step{Name: "python version", Env: runner.Environment{Python: version},
			Args: []string{"python", "--version"}, Timeout: time.Minute})
		if err != nil {
			return "", err
		}
		if result.ExitCode != 0 {
			return "", fmt.Errorf("python --version: exit code %d", result.ExitCode)
		}
		return strings.TrimSpace(result.Stdout+result.Stderr) + " with uv, on the " + s.backend.Runner.Name() + " runner", nil
	}, "install that Python version, or set python in pipeline.yaml; behind a proxy, check that the package index answers"}}
}

// checkPublishing checks the servers that publishing needs. Authenticated requests need the gate's permit, as in a run.
func (s doctor) checkPublishing() []check {
	if s.opts.sandbox() {
		return []check{{"servers", func(context.Context) (string, error) {
			return "the sandbox starts its own MLflow, S3 API and registry", nil
		}, ""}}
	}
	var all []check
	for _, server := range []struct{ name, address, remedy string }{
		{"mlflow", s.opts.Target.TrackingURI, "give --mlflow-tracking-uri, and check that the server answers from here"},
		{"s3", s.opts.Target.S3Endpoint, "check --mlflow-s3-endpoint-url"},
	} {
		if server.address == "" && server.name == "s3" {
			continue // AWS's own endpoint
		}
		all = append(all, check{server.name, func(ctx context.Context) (string, error) { return dial(ctx, server.address) }, server.remedy})
	}
	return append(all, check{"publishing", func(ctx context.Context) (string, error) {
		permit, refused := policy.NewGate(s.cfg, s.opts.request(s.backend)).Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
		if refused != nil {
			return "", refusal(refused)
		}
		target, problem := s.outside(permit)
		if problem != nil {
			return "", problem
		}
		return publish.Preflight(ctx, publish.Input{Config: s.cfg, Environment: s.opts.Environment, Target: target})
	}, "docs/codes.md has the code's remedy; nothing was written"})
}

// dial opens and closes a connection to a URL's host, to tell an unreachable server from one that refuses the request.
func dial(ctx context.Context, address string) (string, error) {
	parsed, err := url.Parse(address)
	switch {
	case address == "":
		return "", errors.New("no address is given")
	case err != nil || parsed.Host == "":
		return "", fmt.Errorf("%q is not a URL", address)
	}
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	}
	host := net.JoinHostPort(parsed.Hostname(), port)
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", host)
	if err != nil {
		return "", fmt.Errorf("connect to %s: %w", host, err)
	}
	if err := conn.Close(); err != nil {
		return "", fmt.Errorf("close connection to %s: %w", host, err)
	}
	return host + " accepts connections", nil
}
