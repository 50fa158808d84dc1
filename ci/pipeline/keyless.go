package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Keyless are the services that make a certificate for a token and log the signature: the files that
// cosign takes as --signing-config and --trusted-root. Both are empty for Sigstore's public ones.
type Keyless struct{ Services, Root string }

// identityToken is the variable in which cosign takes the token.
const identityToken = "SIGSTORE_ID_TOKEN" //nolint:gosec // a name

// cosigned runs cosign on numbered files and returns what it left. Without a network unless signing.
func (s attester) cosigned(ctx context.Context, in map[string][]byte, script string, change func(step *runner.Step)) (runner.Files, error) {
	wanted, err := tools.Find(tools.Cosign)
	if err != nil {
		return nil, err
	}
	if s.backend.Tool == nil {
		return nil, fmt.Errorf("cosign %s is not there", wanted.Version)
	}
	program, err := s.backend.Tool(ctx, tools.Cosign)
	if err != nil {
		return nil, fmt.Errorf("cosign %s: %w", wanted.Version, err)
	}
	in["out/.keep"] = nil
	step := runner.Step{
		Name: "cosign", Env: runner.Environment{Python: s.cfg.Python, Files: s.backend.Runner.NewFiles(nil)},
		Inputs: []runner.Mount{{Path: "tool", Files: program}, {Path: ".", Files: s.backend.Runner.NewFiles(in)}},
		Args:   []string{"sh", "-c", script}, Outputs: []string{"out"}, Offline: true,
	}
	change(&step)
	result, err := s.backend.Runner.Run(ctx, step)
	if err != nil {
		return nil, fmt.Errorf("run cosign: %w", err)
	}
	if result.ExitCode != 0 {
		return nil, fmt.Errorf("cosign ended with %d: %s", result.ExitCode, reason(result.Stderr))
	}
	return result.Outputs, nil
}

// reason is the line in which cosign says what is wrong; it says it twice.
func reason(said string) string {
	for _, line := range safetext.LastLines(said, 5) {
		if text, is := strings.CutPrefix(line, "Error: "); is {
			return text
		}
	}
	return strings.Join(safetext.LastLines(said, 2), " ")
}

// verifying looks at every bundle for itself; the exit code and the end of what was said are kept of each.
// Names are compared in Go, of the same certificate; so any is right here.
const verifying = `set -u
for f in in/*.json; do
  n=$(basename "$f" .json)
  ./tool/cosign verify-blob-attestation --bundle "$f" --trusted-root root.json --check-claims=false \
    --type="$(cat "in/$n.type")" --certificate-identity-regexp '.+' --certificate-oidc-issuer-regexp '.+' %s >/dev/null 2>"out/$n.txt"
  echo $? >"out/$n.code"
done
`

// maxSaid bounds what is read of what cosign says.
const maxSaid = 1 << 20

// proofs lets cosign look at the bundles that were signed without a key, and at one that it must refuse:
// the first of them with another signature.
func (s attester) proofs(ctx context.Context, bundles [][]byte) (map[string]attest.Proof, error) {
	root, err := readKeyFile(s.opts.Verify.Root)
	if err != nil {
		return nil, fmt.Errorf("--verify-root: %w", err)
	}
	in, sums := map[string][]byte{"root.json": root}, map[string]string{}
	for _, content := range bundles {
		anew, kind := attest.Keyless(content)
		if anew == nil {
			continue
		}
		if len(sums) == 0 {
			planted, err := resigned(anew)
			if err != nil {
				return nil, err
			}
			in["in/planted.json"], in["in/planted.type"] = planted, []byte(kind)
		}
		name := strconv.Itoa(len(sums))
		in["in/"+name+".json"], in["in/"+name+".type"], sums[name] = anew, []byte(kind), attest.Sum(content)
	}
	if len(sums) == 0 {
		return nil, nil
	}
	without, err := withoutLogs(root)
	if err != nil {
		return nil, err
	}
	out, err := s.cosigned(ctx, in, fmt.Sprintf(verifying, without), func(*runner.Step) {})
	if err != nil {
		return nil, err
	}
	read := func(name string) (attest.Proof, error) {
		code, err := out.Read(ctx, "out/"+name+".code", maxSaid)
		said, unread := out.Read(ctx, "out/"+name+".txt", maxSaid)
		if err = errors.Join(err, unread); err != nil {
			return attest.Proof{}, fmt.Errorf("read what cosign says: %w", err)
		}
		return attest.Proof{
			Valid: strings.TrimSpace(string(code)) == "0", Text: reason(string(said)),
		}, nil
	}
	if planted, err := read("planted"); err != nil || planted.Valid {
		return nil, errors.Join(err, errors.New("cosign accepts a signature that was changed"))
	}
	proofs := map[string]attest.Proof{}
	for name, sum := range sums {
		if proofs[sum], err = read(name); err != nil {
			return nil, err
		}
	}
	return proofs, nil
}

// resigned is a bundle with one bit of its payload changed.
func resigned(bundle []byte) ([]byte, error) {
	var whole map[string]any
	if err := json.Unmarshal(bundle, &whole); err != nil {
		return nil, fmt.Errorf("change bundle: %w", err)
	}
	envelope, _ := whole["dsseEnvelope"].(map[string]any)
	payload, _ := envelope["payload"].(string)
	if len(payload) < 8 {
		return nil, errors.New("change bundle: it has no payload")
	}
	// The statement begins with {"_type" or with a space; both stay JSON with another space before them.
	envelope["payload"] = "ICAg" + payload
	return json.Marshal(whole)
}

// withoutLogs is the flag for services whose root names no log of certificates: then none can be in one.
func withoutLogs(root []byte) (string, error) {
	var read struct {
		MediaType string            `json:"mediaType"`
		Logs      []json.RawMessage `json:"ctlogs"`
	}
	if err := json.Unmarshal(root, &read); err != nil || !strings.Contains(read.MediaType, "trustedroot") {
		return "", errors.New("it is not a trusted root of Sigstore in JSON")
	}
	if len(read.Logs) == 0 {
		return "--insecure-ignore-sct", nil
	}
	return "", nil
}

// signing signs every statement; the token is good for minutes, and each takes seconds.
const signing = `set -eu
for f in in/*.json; do
  ./tool/cosign attest-blob --yes --statement "$f" --bundle "out/$(basename "$f")" %s >/dev/null
done
`

// signedKeyless lets cosign sign with the token of the call. What is beside the image already, signed without
// a key, is not signed again: the public log keeps everything for ever.
func (s attester) signedKeyless(ctx context.Context, statements []attest.Statement, image oci.Image) ([][]byte, *verdict.Problem) {
	fail := func(err error) ([][]byte, *verdict.Problem) {
		return nil, verdict.Problemf(attest.SignFailed, "sign without a key: %v", err)
	}
	bundles, err := image.Bundles()
	if err != nil {
		return nil, verdict.Problemf(attest.ReferrersRefused, "%v", err)
	}
	there := map[string][]byte{}
	for _, content := range bundles {
		if anew, _ := attest.Keyless(content); anew != nil {
			if opened, err := attest.Open(content); err == nil {
				there[string(opened.Payload)] = content
			}
		}
	}
	signed, in := make([][]byte, len(statements)), map[string][]byte{}
	for i, statement := range statements {
		payload, err := json.Marshal(statement)
		if err != nil {
			return fail(err)
		}
		if signed[i] = there[string(payload)]; signed[i] == nil {
			in[fmt.Sprintf("in/%d.json", i)] = payload
		}
	}
	if len(in) == 0 {
		return signed, nil
	}
	var flags []string
	for _, f := range []struct{ flag, file, name string }{
		{"--signing-config", s.opts.Attest.Keyless.Services, "services.json"}, {"--trusted-root", s.opts.Attest.Keyless.Root, "root.json"},
	} {
		if f.file == "" {
			continue
		}
		content, err := readKeyFile(f.file)
		if err != nil {
			return fail(err)
		}
		in[f.name], flags = content, append(flags, f.flag, f.name)
	}
	out, err := s.cosigned(ctx, in, fmt.Sprintf(signing, strings.Join(flags, " ")), func(step *runner.Step) {
		step.Offline, step.Timeout, step.Fresh = false, 5*time.Minute, time.Now().Format(time.RFC3339Nano)
		step.Secrets = map[string]runner.Secret{identityToken: s.opts.Attest.Token}
	})
	if err != nil {
		return fail(err)
	}
	for i := range statements {
		if signed[i] != nil {
			continue
		}
		if signed[i], err = out.Read(ctx, fmt.Sprintf("out/%d.json", i), attest.MaxBundle); err != nil {
			return fail(err)
		}
		opened, err := attest.Open(signed[i])
		if err == nil && string(opened.Payload) != string(in[fmt.Sprintf("in/%d.json", i)]) {
			err = errors.New("cosign signed something else")
		}
		if err != nil {
			return fail(err)
		}
	}
	return signed, nil
}
