package publish

import (
	"fmt"
	"strconv"
	"strings"

	"math"

	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// version is the promise that was made.
func (p *publication) version() *model.Version {
	return &model.Version{
		Number: p.commit.Number, URI: p.ledger.URI(p.commit.Number, p.commit.Model), SHA256: p.commit.ModelFile().SHA256,
		Registered: p.commit.Registered, RegistryVersion: p.commit.RegistryVersion, Aliases: p.aliases, RunID: p.commit.RunID,
		Already: p.already,
	}
}

// report adds the version to the stage.
func (p *publication) report(v *model.Version) {
	s := p.stage
	state := "committed"
	if p.already {
		state = "already published"
	}
	s.Add("version", fmt.Sprintf("%d, %s", v.Number, state))
	s.Gate("model sha256 read back from S3 and through the registry", v.SHA256, p.Model.SHA256, v.SHA256 == p.Model.SHA256)
	if p.checked != "" {
		want := "loads, and scores the golden sample as trained"
		if strings.Contains(p.checked, "without a golden sample") {
			want = "loads"
		}
		s.Gate("model loaded from the registry", strings.TrimPrefix(p.checked, "loaded "), want, true)
	}
	s.Add("model file", v.URI)
	s.Add("registered model", fmt.Sprintf("%s version %s", v.Registered, v.RegistryVersion))
	s.Add("run", v.RunID)
	rows := [][]string{{"Version", strconv.Itoa(v.Number)}, {"State", state}, {"Model file", v.URI}, {"SHA-256", v.SHA256},
		{"Registered model", v.Registered + " version " + v.RegistryVersion}, {"Aliases", joined(v.Aliases)}, {"MLflow run", v.RunID},
		{"Commit", first(p.commit.Commit, "unknown")}, {"Idempotency key", p.commit.Key}}
	for _, step := range []string{"upload", "read back", "register", "verify", "alias"} {
		if seconds, ok := p.seconds[step]; ok {
			rows = append(rows, []string{"Seconds to " + step, fmt.Sprintf("%.1f", seconds)})
		}
	}
	s.Blocks = append(s.Blocks, verdict.Block{Title: "Published model", Summary: true,
		Table: &verdict.Table{Columns: []string{"What", "Value"}, Rows: rows}})
}

// finite leaves out what JSON has no numbers for.
func finite(metrics map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for name, value := range metrics {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			out[name] = value
		}
	}
	return out
}
