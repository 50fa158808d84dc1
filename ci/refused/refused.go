// Package refused finds out from what a program printed which hosts it could not reach, which paths it could not write to, and
// which variables it missed.
package refused

import (
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func code(stage, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: "NETWORK_REFUSED", Stage: stage, Meaning: meaning, Remedy: remedy}
}

// The codes, one for each stage that runs what the source brings.
var (
	Train = code(verdict.Train, "The training tried to reach hosts, and it has no network.",
		"Put the data into the source or give it with --data; or set train.network: true in pipeline.yaml")
	Test = code(verdict.Test, "Tests failed, and hosts that they tried to reach did not answer.",
		"Replace what connects to other hosts in the tests; test.services: true in pipeline.yaml starts an MLflow server and an S3 API")
	Image = code(verdict.Image, "The application did not start, and hosts that it tried to reach did not answer.",
		"Let the application start without other hosts, or put what it loads from them into the source")
)

var (
	// failure is a line of Python's, curl's or git's own words for a connection that was not made.
	failure = regexp.MustCompile(`(?i)name resolution|name or service not known|nodename nor servname|getaddrinfo failed|` +
		`failed to resolve '|could not resolve host|failed to establish a new connection|connection ?refused|network is unreachable|` +
		`max retries exceeded|openstack-rca: no network|urlopen error|url fetch failure|` +
		`could not connect to the endpoint|cannot connect to host|` +
		`connection attempts failed`)
	// hosts are the forms in which such a line, or the lines around it, name a host.
	hosts = []*regexp.Regexp{
		regexp.MustCompile(`host='([^']+)', port=\d+`),
		regexp.MustCompile(`(?i)(?:resolve host:?|resolve|connect to host) '?([A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z0-9-]+|localhost)`),
		regexp.MustCompile(`https?://(?:[^/\s@'"]*@)?(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)`),
		regexp.MustCompile(`address for host '([A-Za-z0-9.-]+)'`),
		regexp.MustCompile(`this host was not reached: ([A-Za-z0-9.:-]+)$`),
		regexp.MustCompile(`(?i)connection refused:? \(?'?([A-Za-z0-9.-]+)'?, \d+`),
		// Clients of databases and queues.
		regexp.MustCompile(`(?i)(?:connecting to |server (?:at|on) ["']?|^|[\s'"])([A-Za-z0-9.-]+)["']?(?: \(|:\d+[.:] )[^\n]*refused`),
	}
)

// service is the name of a host in a network of containers, where an exception says its address: it has no dot, but a port.
var service = regexp.MustCompile(`(?m)^\w[\w.]*(?:Error|Exception): [^\n]*\bhttps?://([A-Za-z][A-Za-z0-9-]*):\d+`)

// wrapped is where NLTK, which prints no longer lines than a terminal has, goes on with a message.
var wrapped = regexp.MustCompile(`\n\[nltk_data\] {2,}`)

// Unknown stands for a host that the output does not name.
const Unknown = "a host that the output does not name"

// Hosts are the hosts that output says could not be reached, sorted, at most ten; one entry
// stands for a host that is not named. It is empty for output without a failed connection.
func Hosts(output string) []string {
	var found []string
	failed := false
	output = wrapped.ReplaceAllString(output, " ")
	for _, line := range strings.Split(output, "\n") {
		if !failure.MatchString(line) {
			continue
		}
		failed = true
		for _, form := range hosts {
			for _, m := range form.FindAllStringSubmatch(line, -1) {
				name := strings.ToLower(strings.TrimRight(strings.Trim(m[1], "[]"), "."))
				if strings.Contains(name, ".") || name == "localhost" || net.ParseIP(name) != nil {
					found = append(found, name)
				}
			}
		}
	}
	// Documentation that an error message points to is not what was asked for.
	found = slices.DeleteFunc(found, func(name string) bool { return strings.HasSuffix(name, "readthedocs.io") })
	if failed && len(found) == 0 {
		found = shown(output)
	}
	if failed && len(found) == 0 {
		for _, m := range service.FindAllStringSubmatch(output, -1) {
			found = append(found, strings.ToLower(m[1]))
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if failed && len(found) == 0 {
		return []string{Unknown}
	}
	return found[:min(len(found), 10)]
}

// shown are the hosts of addresses in the lines of source that a traceback shows: urllib's
// own words name no host.
func shown(output string) []string {
	var found []string
	for _, line := range strings.Split(output, "\n") {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		for _, m := range hosts[2].FindAllStringSubmatch(line, -1) {
			if name := strings.ToLower(m[1]); strings.Contains(name, ".") {
				found = append(found, name)
			}
		}
	}
	return found
}
