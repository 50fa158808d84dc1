package image_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var rememberedProof = regexp.MustCompile(`withNewFile\(contents: ("(?:[^"\\]|\\.)*"), path: "([0-9a-f]{64})\.json"`)

// remembered is what the runs so far told the engine to keep, by key.
func (w *world) remembered() map[string]any {
	w.t.Helper()
	proofs := map[string]any{}
	for _, call := range w.engine.Calls() {
		for _, found := range rememberedProof.FindAllStringSubmatch(call.Query, -1) {
			text, err := strconv.Unquote(found[1])
			require.NoError(w.t, err)
			var content any
			require.NoError(w.t, json.Unmarshal([]byte(text), &content))
			proofs[found[2]] = content
		}
	}
	return proofs
}

// index is what the script prints of the proofs.
func (w *world) index() map[string]any {
	index := map[string]any{}
	for key, content := range w.proofs {
		index[key] = ""
		if fields, ok := content.(map[string]any); ok && fields["without_model"] != nil {
			index[key] = fields["without_model"]
		}
	}
	return index
}

// publishes counts how often an image was pushed.
func (w *world) publishes() int {
	count := 0
	for _, call := range w.engine.Calls() {
		if strings.HasSuffix(call.Path, "publish") {
			count++
		}
	}
	return count
}

// starts counts how often the application was started.
func (w *world) starts() int {
	count := 0
	for _, call := range w.engine.Calls() {
		if strings.Contains(call.Query, "openstack-rca-probe") && strings.HasSuffix(call.Path, "asService.start") {
			count++
		}
	}
	return count
}

func TestAnImageThatWasProvenIsNotProvenAgain(t *testing.T) {
	w := newWorld(t)
	first := w.run()
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	require.Equal(t, 1, w.starts())
	require.Equal(t, 1, w.publishes())
	w.proofs = w.remembered()
	require.Len(t, w.proofs, 2, "the whole build, and the running image")
	w.in.Version.RunID = "registered anew, as a sandbox does"

	second := w.run()
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.Equal(t, 1, w.starts(), "not again")
	assert.Equal(t, 1, w.publishes(), "not again")
	assert.Equal(t, first.Reference.Digest, second.Reference.Digest)
	assert.Equal(t, first.Reference.Written(), second.Reference.Written())
	assert.NotNil(t, second.Container)
	assert.Equal(t, first.Stage.Warnings, second.Stage.Warnings)
	assert.Equal(t, first.Stage.Blocks, second.Stage.Blocks)
	assert.Equal(t, first.Stage.Files, second.Stage.Files)
	require.Len(t, second.Stage.Evidence, len(first.Stage.Evidence)+1)
	assert.Equal(t, first.Stage.Evidence, second.Stage.Evidence[:len(first.Stage.Evidence)])
	assert.Regexp(t, "^this image was pushed, inspected, started and answered on 2", evidence(second.Stage, "proof"), "not started in this run")
	assert.Empty(t, evidence(first.Stage, "proof"))
}

func TestADigestThatWasSeenToRunIsNotStartedAgain(t *testing.T) {
	w := newWorld(t)
	first := w.run()
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	w.proofs = w.remembered()
	w.tree = "sha256:2" // made of something else, and the same image

	second := w.run()
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.Equal(t, 1, w.starts(), "not again")
	assert.Equal(t, 2, w.publishes(), "but pushed and looked through")
	assert.Equal(t, evidence(first.Stage, "time to healthy"), evidence(second.Stage, "time to healthy"))
	assert.Equal(t, evidence(first.Stage, "healthy"), evidence(second.Stage, "healthy"))
	assert.Regexp(t, "^this digest was started and answered on 2", evidence(second.Stage, "proof"))
	require.Equal(t, len(first.Stage.Blocks), len(second.Stage.Blocks))
	assert.Equal(t, "started", second.Stage.Blocks[0].Log)
}

func TestNothingIsPushedAheadForAnImageThatWasProven(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
	w.proofs = w.remembered()
	ahead := w.begin()
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	ahead.Close(context.Background())
	assert.Equal(t, 1, w.publishes())
	registries := 0
	for _, call := range w.engine.Calls() {
		if strings.HasSuffix(call.Path, "asService.start") && strings.Contains(call.Query, image.SandboxImage) {
			registries++
		}
	}
	assert.Equal(t, 1, registries, "the first run's: not even a registry is started")
	require.NoError(t, w.in.Engine.Close(context.Background()))
}

func TestAnImageIsStartedAgain(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"another image":        func(w *world) { w.image, w.tree = w.newImage(nil), "sha256:2" },
		"another health path":  func(w *world) { w.in.Config.Image.Health = "/healthz" },
		"more successes":       func(w *world) { w.in.Config.Image.Successes = 2 },
		"fresh":                func(w *world) { w.in.Fresh = "1" },
		"a real registry":      func(w *world) { w.production() },
		"an unreadable proof":  func(w *world) { w.replaceProofs("nonsense") },
		"a proof of nothing":   func(w *world) { w.replaceProofs(map[string]any{}) },
		"a proof without date": func(w *world) { w.replaceProofs(map[string]any{"evidence": []any{map[string]any{"name": "healthy"}}}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
			w.proofs = w.remembered()
			change(w)
			r := w.run()
			require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
			assert.Equal(t, 2, w.starts())
			assert.Empty(t, evidence(r.Stage, "proof"))
		})
	}
}

func TestAnImageIsPushedAndLookedThroughAgain(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"other content":             func(w *world) { w.tree = "sha256:2" },
		"content that is not known": func(w *world) { w.engine.Answer("digest", errors.New("lost")) },
		"a larger budget":           func(w *world) { w.in.Config.Image.MaxMegabytes++ },
		"another commit":            func(w *world) { w.in.Commit = strings.Repeat("1", 40) },
		"another version":           func(w *world) { w.in.Version.Number++ },
		"a build without its name": func(w *world) {
			for _, content := range w.proofs {
				delete(content.(map[string]any), "reference")
			}
		},
		"its own Dockerfile": func(w *world) {
			w.in.Config.Image.Dockerfile, w.files["Dockerfile"] = "Dockerfile", "FROM x\n"
			w.engine.Answer("user", "10001")
			w.engine.Answer("workdir", "/app")
			w.engine.Answer("dockerHealthcheck.args", []string{"true"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
			w.proofs = w.remembered()
			change(w)
			r := w.run()
			require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
			assert.Equal(t, 2, w.publishes())
		})
	}
}

func (w *world) replaceProofs(with any) {
	for key := range w.proofs {
		w.proofs[key] = with
	}
}

func TestOnlyAProofThatHeldIsKept(t *testing.T) {
	w := newWorld(t)
	w.status = func(string) int { return 500 }
	require.Equal(t, verdict.Fail, w.run().Stage.Verdict)
	assert.Empty(t, w.remembered())
}

func TestAProofThatCannotBeKeptIsAWarning(t *testing.T) {
	w := newWorld(t)
	w.engine.Answer("withEnvVariable.withMountedDirectory.withMountedDirectory.withExec.withoutMount.sync", errors.New("disk full"))
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	require.Len(t, r.Stage.Warnings, 1)
	assert.Equal(t, image.WarnProof.Name, r.Stage.Warnings[0].Code)
	assert.Contains(t, r.Stage.Warnings[0].Cause, "disk full")
}

func TestWhatOthersFoundIsBesideTheProofs(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ahead := w.begin()
	require.NoError(t, ahead.Keep(ctx, map[string][]byte{"key": []byte("text")}))
	stored := 0
	for _, call := range w.engine.Calls() {
		if strings.Contains(call.Query, `path: "key.found"`) {
			stored++
		}
	}
	assert.Positive(t, stored)
	assert.Nil(t, ahead.Recall(ctx, "key"), "what this run stored is for the next")
	ahead.Close(ctx)

	w = newWorld(t)
	w.proofs = map[string]any{"key.found": "text", strings.Repeat("0", 64): map[string]any{}}
	ahead = w.begin()
	assert.Equal(t, `"text"`, string(ahead.Recall(ctx, "key")))
	assert.Nil(t, ahead.Recall(ctx, "other"))
	assert.Nil(t, ahead.Recall(ctx, strings.Repeat("0", 64)), "a proof is no report")
	assert.Nil(t, ahead.Recall(ctx, ""))
	w.engine.Answer("withoutMount.file.contents", errors.New("lost"))
	assert.Nil(t, ahead.Recall(ctx, "key"))
	w.engine.Answer("withEnvVariable.withMountedDirectory.withMountedDirectory.withExec.withoutMount.sync", errors.New("disk full"))
	assert.ErrorContains(t, ahead.Keep(ctx, map[string][]byte{"key": []byte("text")}), "disk full")
	ahead.Close(ctx)
}

// TestNothingIsRememberedOfARealRegistrysImage: its own proof is not, and so not what is found in it.
func TestNothingIsRememberedOfARealRegistrysImage(t *testing.T) {
	w := newWorld(t)
	w.proofs = map[string]any{"key.found": "text"}
	w.production()
	ahead := w.begin()
	defer ahead.Close(context.Background())
	assert.Nil(t, ahead.Recall(context.Background(), "key"))
	require.NoError(t, ahead.Keep(context.Background(), map[string][]byte{"key": []byte("text")}))
	for _, call := range w.engine.Calls() {
		assert.NotContains(t, call.Query, "memory.py")
	}
}
