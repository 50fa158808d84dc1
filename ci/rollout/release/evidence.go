package release

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// evidence shows what the verdict rests on.
func (o *operation) evidence(outcome *deployment.Outcome) {
	o.result.Outcome = outcome
	stage, good := o.stage(), outcome.Problem == nil
	value, want, held := "none", "SUCCESSFUL", outcome.Status == string(types.ServiceDeploymentStatusSuccessful)
	switch {
	case outcome.Deployment != "":
		value = strings.TrimSpace(outcome.Deployment[strings.LastIndexByte(outcome.Deployment, '/')+1:] + " " + outcome.Status)
		if outcome.Adopted {
			value += " (found in flight)"
		}
	case outcome.Unchanged:
		value, want, held = "no new one: this version is deployed already", "SUCCESSFUL, or none needed", true
	}
	stage.Gate("deployment", value, want, held)
	if outcome.Desired > 0 || good {
		all := outcome.Running == outcome.Desired && outcome.Desired > 0
		stage.Gate("running tasks", fmt.Sprintf("%d of %d", outcome.Running, outcome.Desired), "all, and at least 1", all)
	}
	if n := len(outcome.Targets); n > 0 {
		healthy := 0
		for _, t := range outcome.Targets {
			if t.State == "healthy" {
				healthy++
			}
		}
		stage.Gate("healthy targets", strconv.Itoa(healthy), "at least "+strconv.Itoa(outcome.Desired), healthy >= outcome.Desired)
	}
	o.smokeEvidence()
	o.whereTo()
	if outcome.Seconds > 0 {
		stage.Add("deployment took", (time.Duration(outcome.Seconds) * time.Second).String())
	}
	stage.Add("strategy", fmt.Sprintf("%s, about %s for a new version", o.plan.Strategy, o.plan.Estimate.Total))
	if o.state != nil {
		stage.Add("task definition", o.state.TaskDefinition())
		stage.Add("written", written(o.state.Written()))
	}
	if good && !outcome.Unchanged && o.digest() != "" && o.digest() != nothing {
		stage.Published = append(stage.Published, o.plan.Image+" in "+o.plan.Environment)
	}
}

// written names what was changed in the account.
func written(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d resources: %s", len(all), strings.Join(all, ", "))
}

// smokeEvidence shows what the address answered that was asked, if any was.
func (o *operation) smokeEvidence() {
	address := o.smokeAddress()
	switch {
	case address == "":
	case o.smoked == nil:
		o.stage().Add("smoke test", address+" was not asked")
	case o.smoked.err != nil:
		o.stage().Gate("smoke test", address+": "+verdict.Line(o.smoked.err.Error(), 200), "200", false)
	default:
		o.stage().Gate("smoke test", address+" answered 200", "200", true)
	}
}

// whereTo says where users reach the service, and where to look at it.
func (o *operation) whereTo() {
	address := ""
	if o.state != nil {
		address = o.state.URL()
	}
	o.links(address)
}

// links lists the service's address, where it is known, and the pages of the console.
func (o *operation) links(address string) {
	table := &verdict.Table{Columns: []string{"What", "Address"}}
	if address != "" {
		o.stage().Add("address", address)
		table.Rows = append(table.Rows, []string{"service", address})
	}
	for _, link := range o.plan.Links() {
		table.Rows = append(table.Rows, []string{"console: " + link.Name, link.URL})
	}
	if len(table.Rows) > 0 {
		o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: "Where to look", Summary: true, Answer: true, Table: table})
	}
}

// warn says once what a look at the account showed.
func (o *operation) warn() {
	if !o.told {
		o.told = true
		o.state.Warn(o.stage())
	}
}
