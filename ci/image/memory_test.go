package image_test

import (
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

var (
	rememberedKey   = regexp.MustCompile(`"remember","/openstack-rca-proofs","([0-9a-f]{64})"`)
	rememberedProof = regexp.MustCompile(`withNewFile\(contents: ("(?:[^"\\]|\\.)*"), path: "proof\.json"`)
)

// remembered is what the runs so far told the engine to keep.
func (w *world) remembered() map[string]any {
	w.t.Helper()
	var key string
	var content any
	for _, call := range w.engine.Calls() {
		if found := rememberedKey.FindStringSubmatch(call.Query); found != nil {
			key = found[1]
		}
		if found := rememberedProof.FindStringSubmatch(call.Query); found != nil {
			text, err := strconv.Unquote(found[1])
			require.NoError(w.t, err)
			require.NoError(w.t, json.Unmarshal([]byte(text), &content))
		}
	}
	if key == "" {
		return nil
	}
	return map[string]any{key: content}
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

func TestAnImageThatWasSeenToRunIsNotStartedAgain(t *testing.T) {
	w := newWorld(t)
	first := w.run()
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	require.Equal(t, 1, w.starts())
	w.proofs = w.remembered()
	require.Len(t, w.proofs, 1)

	second := w.run()
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.Equal(t, 1, w.starts(), "not again")
	assert.Empty(t, second.Stage.Warnings)
	assert.Equal(t, evidence(first.Stage, "time to healthy"), evidence(second.Stage, "time to healthy"))
	assert.Equal(t, evidence(first.Stage, "healthy"), evidence(second.Stage, "healthy"))
	assert.Contains(t, evidence(second.Stage, "proof"), "was started and answered on 2", "it says that it was not started now")
	assert.Empty(t, evidence(first.Stage, "proof"))
	require.Equal(t, len(first.Stage.Blocks), len(second.Stage.Blocks))
	assert.Equal(t, "started", second.Stage.Blocks[0].Log)
}

func TestAnImageIsStartedAgain(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"another image":        func(w *world) { w.image = w.newImage(nil) },
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

func (w *world) replaceProofs(with any) {
	for key := range w.proofs {
		w.proofs[key] = with
	}
}

func TestOnlyAProofThatHeldIsKept(t *testing.T) {
	w := newWorld(t)
	w.status = func(string) int { return 500 }
	require.Equal(t, verdict.Fail, w.run().Stage.Verdict)
	assert.Nil(t, w.remembered())
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
