package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestOneLockServesTheStagesThatShareAFile: the remedy is the same for all of them, and once followed each takes the lock.
func TestOneLockServesTheStagesThatShareAFile(t *testing.T) {
	for _, stage := range []string{verdict.Test, verdict.Train, verdict.Image} {
		request := Request{Stage: stage, Python: "3.11"}
		before, err := Detect(t.Context(), fake.Files(map[string]string{"requirements.txt": "six\n"}), request)
		require.NoError(t, err)
		assert.Equal(t, "Lock them: uv pip compile --universal --generate-hashes --python-version 3.11 requirements.txt -o requirements.lock; where uv is missing: pip install uv",
			before.LockNext(), stage)
		after, err := Detect(t.Context(), fake.Files(map[string]string{
			"requirements.txt": "six\n", "requirements.lock": "six==1.17.0 --hash=sha256:00\n",
		}), request)
		require.NoError(t, err)
		assert.True(t, after.Locked, stage)
		assert.Equal(t, []string{"requirements.lock"}, after.From, stage)
	}
}
