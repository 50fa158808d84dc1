package train

import "testing"

// Limit lowers the limits of exported files for one test.
func Limit(t testing.TB, model, artifact int64) {
	m, a := maxModel, maxArtifact
	maxModel, maxArtifact = model, artifact
	t.Cleanup(func() { maxModel, maxArtifact = m, a })
}
