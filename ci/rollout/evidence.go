package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Planned is the evidence of a stage that planned and changed nothing.
const Planned = "planned"

// evidence adds the plan to the stage: gates, facts, blocks of the report, and files.
func (p *Plan) evidence(stage *verdict.Stage) {
	s := p.settings
	resources := p.Resources()
	stage.Gate(Planned, fmt.Sprintf("%d resources, nothing deployed", len(resources)), "valid", true)
	if p.ImageBuilt {
		stage.Gate("image", p.Image.Written(), "pinned by digest", true)
	} else {
		stage.Add("image", "not built; the plan holds a placeholder digest")
		stage.Remark(ImageNotBuilt, "no image was made in this run")
	}
	if p.Adopts() {
		stage.Add("service", fmt.Sprintf("%s in cluster %s, adopted", s.names.service, s.names.cluster))
		stage.Add("account", p.Account+" "+p.Region)
		stage.Add("calls to AWS", "none")
		stage.Files = append(stage.Files, p.Files()...)
		return
	}
	stage.Add("task definition", fmt.Sprintf("%s, hash %s", s.names.family, short(p.ConfigHash)))
	stage.Add("size", fmt.Sprintf("%s vCPU, %d MiB", strconv.FormatFloat(float64(s.CPU)/1024, 'f', -1, 64), s.Memory))
	stage.Add("tasks", fmt.Sprintf("%d (scaling %d to %d)", s.Desired, s.Min, s.Max))
	stage.Add("strategy", fmt.Sprintf("%s, about %s for a new version", p.Strategy, words(p.Estimate.Total)))
	stage.Add("account", p.Account+" "+p.Region)
	p.Storage(stage)
	stage.Add("calls to AWS", "none")
	p.Warn(stage)
	if p.Balanced() && p.LoadBalancer.Redirect == nil && s.environment != Sandbox {
		p.WarnNotEncrypted(stage)
	}

	stage.Blocks = append(stage.Blocks,
		verdict.Block{Title: "What would be created", Summary: true, Table: resourceTable(resources)},
		verdict.Block{Title: fmt.Sprintf("Duration of a rollout (%s)", p.Strategy), Table: p.Estimate.table()},
		verdict.Block{Title: "Plan (rollout/plan.md has it whole)", Log: p.Text()})
	stage.Files = append(stage.Files, p.Files()...)
}

// Warn adds warnings about what the plan allows and the reader should see.
func (p *Plan) Warn(stage *verdict.Stage) {
	s := p.settings
	if p.Adopts() {
		p.warnAdopted(stage)
		return
	}
	if len(p.Examples) > 0 {
		keys := make([]string, 0, len(p.Examples))
		for _, e := range p.Examples {
			keys = append(keys, e.Key)
		}
		stage.Remark(ExampleValues, "made up in this plan: %s", strings.Join(keys, ", "))
	}
	if s.environment == Production && (s.Min < 2 || s.Desired < 2) {
		stage.Warn(SingleTask, "rollout.min is %d, rollout.desired is %d", s.Min, s.Desired)
	}
	if s.App.StartBudget > s.patience() {
		stage.Warn(StartPeriodShort, "image.start_budget lets the image take %s, the container health check gives up after %s",
			words(s.App.StartBudget), words(s.patience()))
	}
	if p.Estimate.Total > time.Hour {
		stage.Warn(LongRollout, "%s takes about %s", p.Strategy, words(p.Estimate.Total))
	}
}

// warnAdopted warns of what an adopted service cannot be protected from.
func (p *Plan) warnAdopted(stage *verdict.Stage) {
	if keys := p.settings.WithoutEffect; len(keys) > 0 {
		stage.Warn(KeysWithoutEffect, "service %s is adopted, and stays as it is: %s", p.settings.names.service, strings.Join(keys, ", "))
	}
	if p.Estimate.Total > time.Hour {
		stage.Warn(LongRollout, "%s takes about %s", p.Strategy, words(p.Estimate.Total))
	}
}

// WarnNotEncrypted warns that users reach the service by HTTP. Outside the sandbox it needs a
// look at the account, because an existing certificate is kept.
func (p *Plan) WarnNotEncrypted(stage *verdict.Stage) {
	stage.Warn(NotEncrypted, "the listener of %s has no certificate", p.settings.names.loadBalancer)
}

// Storage adds to the stage which of the application's files outlive a task.
func (p *Plan) Storage(stage *verdict.Stage) {
	if a := p.Adoption; a != nil {
		stage.Add("image set in", a.describeImages())
		stage.Add("size", size(p.TaskDefinition))
	}
	if p.Adopts() {
		return
	}
	kept, lost := p.settings.storage()
	if kept != "" {
		stage.Add("kept volumes", kept)
	}
	if lost != "" {
		stage.Add("scratch volumes", lost+": fresh for each task, and gone with it")
	}
}

func resourceTable(resources []Resource) *verdict.Table {
	table := &verdict.Table{Columns: []string{"Action", "Resource", "Name"}}
	for _, r := range resources {
		table.Rows = append(table.Rows, []string{"create", r.Kind, r.Name})
	}
	return table
}

func (e Estimate) table() *verdict.Table {
	table := &verdict.Table{Columns: []string{"Phase", "Time"}}
	for _, phase := range e.Phases {
		table.Rows = append(table.Rows, []string{phase.Name, words(phase.Time)})
	}
	table.Rows = append(table.Rows, []string{"expected", words(e.Total)},
		[]string{"given up after", words(e.Trial + e.Deadline)})
	return table
}
