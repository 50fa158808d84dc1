package native

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// systemPath are the directories of the system's commands.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// bundles are the files in which systems keep trusted certificates.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, Red Hat
	"/etc/ssl/ca-bundle.pem",             // SUSE
	"/etc/ssl/cert.pem",                  // macOS, Alpine
}

// certificates points programs with their own CA bundle to the system's, because they would fail behind a company proxy
// otherwise. The host's own settings take precedence.
func certificates(host func(string) string) map[string]string {
	vars := map[string]string{}
	file := host("SSL_CERT_FILE")
	for _, bundle := range bundles {
		if file == "" {
			if info, err := os.Stat(bundle); err == nil && info.Mode().IsRegular() {
				file = bundle
			}
		}
	}
	if file == "" {
		return vars
	}
	for _, name := range []string{"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
		vars[name] = file
		if own := host(name); own != "" {
			vars[name] = own
		}
	}
	vars["UV_SYSTEM_CERTS"] = "true"
	vars["UV_NATIVE_TLS"] = "true"
	return vars
}

// stepVariables returns the base environment of a step or service. Path has the directories of commands outside of the
// environment.
func stepVariables(packages *slot, path, dir string) map[string]string {
	vars := certificates(os.Getenv)
	vars["PATH"] = binaries(packages.dir) + ":" + path
	vars["HOME"] = filepath.Join(dir, "home")
	vars["TMPDIR"] = filepath.Join(dir, "tmp")
	vars["LANG"] = "C.UTF-8"
	return vars
}

// clientSettings matches the host's variables that configure how pip and uv download, but not those that change what is
// installed, or where.
var clientSettings = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`PIP_(?:INDEX_URL|EXTRA_INDEX_URL|NO_INDEX|FIND_LINKS|TRUSTED_HOST|CERT|CLIENT_CERT|PROXY)`,
	`PIP_(?:TIMEOUT|DEFAULT_TIMEOUT|RETRIES|CACHE_DIR|NO_CACHE_DIR|CONFIG_FILE|KEYRING_PROVIDER|DISABLE_PIP_VERSION_CHECK)`,
	`UV_(?:INDEX|INDEX_[A-Z0-9_]+|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|OFFLINE|HTTP_TIMEOUT|HTTP_RETRIES)`,
	`UV_(?:REQUEST_TIMEOUT|CONCURRENT_[A-Z]+|CACHE_DIR|KEYRING_PROVIDER|INSECURE_HOST|CONFIG_FILE|SYSTEM_CERTS|NATIVE_TLS)`,
	`SSL_CERT_FILE|SSL_CERT_DIR|SSL_CLIENT_CERT|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE`,
	`(?i:https?_proxy|all_proxy|no_proxy)`,
	// Location of configuration files, netrc and keyrings of pip and uv.
	`HOME|XDG_CONFIG_HOME|XDG_CONFIG_DIRS|NETRC`,
}, "|") + `)$`)

// managerSettings matches the host's variables that tell a shim of pyenv, asdf or mise which Python to run and where it is.
// Their other variables are excluded, because some are credentials (MISE_GITHUB_TOKEN).
var managerSettings = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`PYENV_(?:ROOT|VERSION|DIR)`,
	`ASDF_(?:DIR|DATA_DIR|CONFIG_FILE|PYTHON_VERSION|(?:DEFAULT_)?TOOL_VERSIONS_FILENAME)`,
	`MISE_(?:DATA_DIR|CONFIG_DIR|STATE_DIR|CACHE_DIR|CONFIG_FILE|GLOBAL_CONFIG_FILE|ENV|PYTHON_VERSION|TRUSTED_CONFIG_PATHS)`,
	`XDG_DATA_HOME|PATH`,
}, "|") + `)$`)

// discoveryVariables returns the environment for asking an interpreter, or shim, for its version: that of an installation,
// without credentials, and the settings of version managers. A shim is any program on the host's PATH, and may log or
// download anything.
func discoveryVariables(host []string, cache string) []string {
	vars, _ := installVariables(host, cache, os.TempDir())
	var pairs []string
	for name, value := range vars {
		pairs = append(pairs, name+"="+value)
	}
	for _, pair := range host {
		if name, value, _ := strings.Cut(pair, "="); managerSettings.MatchString(name) && !hasCredentials(name, value) {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// installVariables returns the environment of installation commands. Variables that contain credentials are in secrets.
func installVariables(host []string, cache, tmp string) (vars, secrets map[string]string) {
	all := map[string]string{}
	for _, pair := range host {
		if name, value, ok := strings.Cut(pair, "="); ok {
			all[name] = value
		}
	}
	vars, secrets = certificates(func(name string) string { return all[name] }), map[string]string{}
	for name, value := range all {
		if clientSettings.MatchString(name) {
			vars[name] = value
		}
	}
	// uv does not read pip's settings, but most companies only have those.
	if vars["UV_DEFAULT_INDEX"] == "" && vars["UV_INDEX_URL"] == "" && vars["PIP_INDEX_URL"] != "" {
		vars["UV_DEFAULT_INDEX"] = vars["PIP_INDEX_URL"]
	}
	if vars["UV_INDEX"] == "" && vars["UV_EXTRA_INDEX_URL"] == "" && vars["PIP_EXTRA_INDEX_URL"] != "" {
		vars["UV_INDEX"] = vars["PIP_EXTRA_INDEX_URL"]
	}
	if vars["UV_CACHE_DIR"] == "" {
		vars["UV_CACHE_DIR"] = filepath.Join(cache, "uv")
	}
	// Through a hard link a step could change uv's cache, and thereby later installations.
	vars["UV_LINK_MODE"] = "copy"
	// Bytecode that Python writes during a step is not kept, so it is compiled once here.
	vars["UV_COMPILE_BYTECODE"] = "1"
	vars["TMPDIR"] = tmp
	vars["LANG"] = "C.UTF-8"
	for name, value := range vars {
		if value != "" && hasCredentials(name, value) {
			secrets[name] = value
			delete(vars, name)
		}
	}
	return vars, secrets
}

func hasCredentials(name, value string) bool {
	if strings.HasSuffix(name, "_PASSWORD") || strings.HasSuffix(name, "_TOKEN") {
		return true
	}
	for _, word := range strings.Fields(value) {
		if address, err := url.Parse(word); err == nil && address.User != nil {
			return true
		}
	}
	return false
}
