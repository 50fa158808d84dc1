package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
)

const (
	bucket = "honesty-bucket"
	root   = "s3://" + bucket + "/models"
	// registered is the model that the fixture tiny publishes to staging.
	registered = "tiny_staging_tiny_model"
)

// Servers are an MLflow server and an S3 API that behave as a case asks.
type Servers struct {
	store *ledgertest.Store
	mlf   *mlflowtest.Server

	storeRules, mlfRules []rule
	touched              atomic.Int64
	close                []func()
}

// behaviours are the named ways in which servers misbehave; "honest" is none.
var behaviours = map[string]func(*Servers){
	"honest": func(*Servers) {},

	// The store.
	"lost-commit":  func(s *Servers) { s.swallow("COMMIT.json") },
	"lost-claim":   func(s *Servers) { s.swallow("CLAIM.json") },
	"lost-pointer": func(s *Servers) { s.swallow(".keys/") },
	"lost-model":   func(s *Servers) { s.swallow(".keras") },
	"xml-error-commit": func(s *Servers) {
		s.onStore(http.MethodPut, "COMMIT.json", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // as a server that takes it all
			w.Header().Set("Content-Type", "application/xml")
			_, _ = fmt.Fprint(w, `<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>`)
		})
	},
	"other-commit": func(s *Servers) {
		s.after(http.MethodPut, "COMMIT.json", func(key string) {
			s.store.Set(key, []byte(`{"schema":1,"number":1,"idempotency_key":"other","model":"models/x","files":[{"path":"models/x","sha256":"00","bytes":1}]}`))
		})
	},
	"torn-commit": func(s *Servers) {
		s.after(http.MethodPut, "COMMIT.json", func(key string) {
			if o, ok := s.store.Get(key); ok {
				s.store.Set(key, o.Content[:len(o.Content)/2])
			}
		})
	},
	"flipped-model": func(s *Servers) {
		s.after(http.MethodPut, ".keras", func(key string) { s.store.Set(key, []byte("flipped")) })
	},
	"no-conditions": func(s *Servers) { s.store.IgnoreConditions = true },
	"repeated-token": func(s *Servers) {
		s.onStore(http.MethodGet, "list-type=2", func(w http.ResponseWriter, _ *http.Request) {
			listing(w, `<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>`)
		})
	},
	"growing-token": func(s *Servers) {
		var n atomic.Int64
		s.onStore(http.MethodGet, "list-type=2", func(w http.ResponseWriter, _ *http.Request) {
			listing(w, fmt.Sprintf(`<IsTruncated>true</IsTruncated><NextContinuationToken>t%d</NextContinuationToken>`, n.Add(1)))
		})
	},
	"stale-listing": func(s *Servers) {
		s.store.Set("models/tiny-staging_0001/CLAIM.json", []byte(`{"schema":1,"number":1,"idempotency_key":"other","claimed_at":"2026-11-22T00:00:00Z"}`))
		s.onStore(http.MethodGet, "list-type=2", func(w http.ResponseWriter, _ *http.Request) { listing(w, `<IsTruncated>false</IsTruncated>`) })
	},
	"claimed-then-gone": func(s *Servers) {
		s.onStore(http.MethodPut, "CLAIM.json", func(w http.ResponseWriter, _ *http.Request) {
			ledgertest.Fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		})
		s.onStore(http.MethodGet, "CLAIM.json", func(w http.ResponseWriter, _ *http.Request) {
			ledgertest.Fail(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		})
	},
	"clock-skew": func(s *Servers) {
		s.onStore("", "", func(w http.ResponseWriter, _ *http.Request) {
			ledgertest.Fail(w, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
		})
	},
	"access-denied": func(s *Servers) {
		s.onStore("", "", func(w http.ResponseWriter, r *http.Request) {
			ledgertest.Fail(w, http.StatusForbidden, "AccessDenied", "no: "+r.Header.Get("X-Amz-Security-Token"))
		})
	},
	"store-redirects": func(s *Servers) {
		s.onStore("", "", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://sign-in.invalid/", http.StatusTemporaryRedirect)
		})
	},
	"html-store": func(s *Servers) {
		s.onStore("", "", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>Sign in</html>") })
	},
	"newer-ledger":  func(s *Servers) { s.store.Set("models/tiny-staging_0001/CLAIM.json", []byte(`{"schema": 2}`)) },
	"broken-ledger": func(s *Servers) { s.store.Set("models/tiny-staging_0001/CLAIM.json", []byte(`<html>`)) },
	"endless-ledger": func(s *Servers) {
		s.store.Set("models/tiny-staging_0001/CLAIM.json", nil)
		s.onStore(http.MethodGet, "0001/CLAIM.json", endless)
	},

	// The registry.
	"alias-ignored": func(s *Servers) { s.answer("POST", "registered-models/alias", http.StatusOK, "{}") },
	"alias-stolen": func(s *Servers) {
		s.mlf.SetAfter(func(r *http.Request) bool {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "registered-models/alias") {
				s.mlf.SetAlias(registered, "champion", 0)
				s.mlf.SetAlias(registered, "staging", 0)
			}
			return false
		})
	},
	"alias-denied": func(s *Servers) {
		s.answer("POST", "registered-models/alias", http.StatusForbidden, `{"error_code":"PERMISSION_DENIED","message":"<script>alert(1)</script>\u001b[31m ::error:: no"}`)
	},
	"version-failed": func(s *Servers) { s.mlf.NewStatus = "FAILED_REGISTRATION" },
	"artifact-login-page": func(s *Servers) {
		s.onMLflow(http.MethodGet, "mlflow-artifacts/artifacts/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprint(w, "<html>Sign in</html>")
		})
	},
	"version-ignored":  func(s *Servers) { s.answer("POST", "model-versions/create", http.StatusOK, "{}") },
	"run-ignored":      func(s *Servers) { s.answer("POST", "runs/create", http.StatusOK, "{}") },
	"artifact-ignored": func(s *Servers) { s.answer("PUT", "mlflow-artifacts/artifacts/", http.StatusOK, "{}") },
	"login-page":       func(s *Servers) { s.answer("", "/api/", http.StatusOK, "<html>Sign in</html>") },
	"mlflow-denied":    func(s *Servers) { s.telltale(http.StatusForbidden) },
	"mlflow-crashed":   func(s *Servers) { s.telltale(http.StatusInternalServerError) },
	"mlflow-old": func(s *Servers) {
		s.answer("", "runs/search", http.StatusNotFound, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`)
	},
	"deleted-trash": func(s *Servers) { s.mlf.AddExperiment("tiny_staging", "deleted") },
	"json-with-tail": func(s *Servers) {
		s.answer("GET", "experiments/get-by-name", http.StatusOK, `{"experiment":{"experiment_id":"0"`)
	},
	"artifact-endless":  func(s *Servers) { s.onMLflow(http.MethodGet, "mlflow-artifacts/artifacts/", endless) },
	"answer-endless":    func(s *Servers) { s.onMLflow(http.MethodGet, "experiments/get-by-name", endless) },
	"artifact-replaced": func(s *Servers) { s.replaceArtifacts(func([]byte) []byte { return []byte("another model") }) },
	"artifact-torn":     func(s *Servers) { s.replaceArtifacts(func(b []byte) []byte { return b[:len(b)/2] }) },
	"champion-infinite": func(s *Servers) { s.champion(`1e999`) },
	"champion-text":     func(s *Servers) { s.champion(`"high"`) },
}

// startServers runs both servers with a behaviour until stop; password is what the registry demands.
func startServers(behaviour, password string) *Servers {
	s := &Servers{store: ledgertest.New(bucket), mlf: mlflowtest.New()}
	serve := func(handler http.Handler) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.touched.Add(1)
			handler.ServeHTTP(w, r)
		}))
		s.close = append(s.close, func() {
			server.CloseClientConnections()
			server.Close()
		})
		return server.URL
	}
	s.store.URL, s.mlf.URL = serve(s.store), serve(s.mlf)
	if password != "" {
		s.mlf.Username, s.mlf.Password = "robot", password
	}
	behaviours[behaviour](s)
	return s
}

func (s *Servers) stop() {
	for _, f := range s.close {
		f()
	}
}

// heal makes the servers honest; what they hold stays.
func (s *Servers) heal() {
	s.store.SetBefore(nil)
	s.store.SetAfter(nil)
	s.mlf.SetBefore(nil)
	s.mlf.SetAfter(nil)
	s.store.IgnoreConditions = false
	s.mlf.NewStatus = ""
}

// committed counts the versions that have a manifest.
func (s *Servers) committed() (n int) {
	for _, key := range s.store.Keys() {
		if path.Base(key) == "COMMIT.json" {
			n++
		}
	}
	return n
}

// seen names the canaries in what the servers were given to keep.
func (s *Servers) seen(search *search) (seen []string) {
	in := func(place, content string) {
		for _, name := range search.in([]byte(content)) {
			seen = append(seen, name+" in "+place)
		}
	}
	for _, key := range s.store.Keys() {
		object, _ := s.store.Get(key)
		in("s3 "+key, key+"\n"+string(object.Content)+fmt.Sprint(object.Meta))
	}
	for name, content := range s.mlf.Artifacts() {
		in("artifact "+name, name+"\n"+string(content))
	}
	in("the registry", fmt.Sprint(s.mlf.Runs(), s.mlf.Versions(registered)))
	return seen
}

// rule answers requests of a method, or of any, whose address holds part.
type rule struct {
	method, part string
	answer       http.HandlerFunc
}

// answered goes through the rules; the first that fits answers.
func answered(rules []rule, w http.ResponseWriter, r *http.Request) bool {
	for _, rule := range rules {
		if (rule.method == "" || rule.method == r.Method) && strings.Contains(r.URL.String(), rule.part) {
			rule.answer(w, r)
			return true
		}
	}
	return false
}

func (s *Servers) onStore(method, part string, answer http.HandlerFunc) {
	s.storeRules = append(s.storeRules, rule{method, part, answer})
	s.store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool { return answered(s.storeRules, w, r) })
}

func (s *Servers) onMLflow(method, part string, answer http.HandlerFunc) {
	s.mlfRules = append(s.mlfRules, rule{method, part, answer})
	s.mlf.SetBefore(func(w http.ResponseWriter, r *http.Request) bool { return answered(s.mlfRules, w, r) })
}

// answer makes the registry answer with a text, whatever it was asked to do.
func (s *Servers) answer(method, part string, status int, text string) {
	s.onMLflow(method, part, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, text) // a client that left gets nothing
	})
}

// swallow makes the store answer 200 to writes and keep nothing.
func (s *Servers) swallow(part string) {
	s.onStore(http.MethodPut, part, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // as a server that takes it all
		w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
	})
}

// after does something to an object each time it was written.
func (s *Servers) after(method, part string, do func(key string)) {
	s.store.SetAfter(func(r *http.Request) bool {
		if r.Method == method && strings.Contains(r.URL.Path, part) {
			do(strings.TrimPrefix(r.URL.Path, "/"+bucket+"/"))
		}
		return false
	})
}

// telltale makes the registry refuse everything but the question for the champion, and repeat the credentials that it was sent.
func (s *Servers) telltale(status int) {
	s.onMLflow("", "experiments", func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		mlflowtest.Fail(w, status, "REFUSED", fmt.Sprintf("refused: %s %s %q %x", r.Header.Get("Authorization"), password, password, password))
	})
}

// replaceArtifacts changes what the registry keeps, after it was written.
func (s *Servers) replaceArtifacts(change func([]byte) []byte) {
	s.mlf.SetAfter(func(r *http.Request) bool {
		if name, ok := strings.CutPrefix(r.URL.Path, "/api/2.0/mlflow-artifacts/artifacts/"); ok && r.Method == http.MethodPut && strings.HasSuffix(name, ".keras") {
			s.mlf.SetArtifact(name, change(s.mlf.Artifacts()[name]))
		}
		return false
	})
}

// champion makes a registry whose champion has the accuracy that is given as JSON.
func (s *Servers) champion(accuracy string) {
	s.answer("GET", "registered-models/alias", http.StatusOK, `{"model_version":{"name":"`+registered+`","version":"7","run_id":"r","source":"s","tags":[]}}`)
	s.answer("GET", "runs/get", http.StatusOK, `{"run":{"info":{"run_id":"r","status":"FINISHED"},"data":{"metrics":[{"key":"accuracy","value":`+accuracy+`,"timestamp":1,"step":0}],"params":[],"tags":[]}}}`)
}

func listing(w http.ResponseWriter, rest string) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult><Name>`+bucket+`</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys>`+rest+`</ListBucketResult>`)
}

// endless sends until the client leaves, or a gigabyte was sent: what reads it all has no bound.
func endless(w http.ResponseWriter, _ *http.Request) {
	block := []byte(strings.Repeat(" ", 1<<20))
	for range 1024 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}
