package release

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// evidence reports the basis of the verdict.
func (o *observer) evidence(outcome *deployment.Outcome) {
	o.result.Outcome = outcome
	o.stage().Deployment = o.described(outcome)
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
	if len(outcome.Targets) > 0 && outcome.Desired > 0 { // without a number they belong to the previous version
		healthy := 0
		for _, t := range outcome.Targets {
			if t.State == "healthy" {
				healthy++
			}
		}
		stage.Gate("healthy targets", strconv.Itoa(healthy), "at least "+strconv.Itoa(outcome.Desired), healthy >= outcome.Desired)
	}
	o.smokeEvidence()
	o.analysisEvidence(outcome)
	o.addAddresses()
	if outcome.Seconds > 0 {
		stage.Add("deployment took", (time.Duration(outcome.Seconds) * time.Second).String())
	}
	stage.Add("strategy", fmt.Sprintf("%s, about %s for a new version", o.plan.Strategy, o.plan.Estimate.Total))
	if o.state != nil {
		stage.Add("task definition", o.state.TaskDefinition())
		stage.Add("written", written(o.state.Written()))
	}
	if good && !outcome.Unchanged && o.digest() != "" && o.digest() != emptyDigest {
		stage.Published = append(stage.Published, o.plan.Image.Written()+" in "+o.plan.Environment)
	}
}

// described returns the outcome of a deployment for machines, or nil if there was none.
func (o *observer) described(outcome *deployment.Outcome) *verdict.Deployment {
	d := &verdict.Deployment{
		ID: outcome.Deployment[strings.LastIndexByte(outcome.Deployment, '/')+1:], Service: aws.ToString(o.plan.Service.ServiceName),
		Seconds: outcome.Seconds, Digest: o.digest(),
	}
	if d.Digest == emptyDigest {
		d.Digest = ""
	}
	switch {
	case outcome.Unchanged:
		d.Outcome = verdict.DeploymentUnchanged
	case outcome.Deployment == "":
		return nil
	case outcome.Hook != nil:
		d.Outcome, d.Waits = verdict.DeploymentOpen, outcome.Hook.Stage
	case outcome.Problem == nil:
		d.Outcome = verdict.DeploymentSucceeded
	case unfinished(outcome.Problem.Code):
		d.Outcome = verdict.DeploymentOpen
	case outcome.Undone:
		d.Outcome = verdict.DeploymentRolledBack
	default:
		d.Outcome = verdict.DeploymentFailed
	}
	return d
}

// written lists what was changed in the account.
func written(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d resources: %s", len(all), strings.Join(all, ", "))
}

// smokeEvidence reports the response to the smoke test, if there was one.
func (o *observer) smokeEvidence() {
	address := o.smokeAddress()
	switch {
	case address == "":
	case o.lastSmoke == nil:
		o.stage().Add("smoke test", address+" was not asked")
	case o.lastSmoke.err != nil:
		o.stage().Gate("smoke test", address+": "+verdict.Line(o.lastSmoke.err.Error(), 200), "200", false)
	default:
		o.stage().Gate("smoke test", address+" answered 200", "200", true)
	}
}

// addAddresses reports the service's address and the pages of the console.
func (o *observer) addAddresses() {
	address := ""
	if o.state != nil {
		address = o.state.URL()
	}
	o.addLinks(address)
}

// addLinks lists the service's address, if known, and the pages of the console.
func (o *observer) addLinks(address string) {
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

// warnOnce reports the warnings of the first look at the account.
func (o *observer) warnOnce() {
	if !o.warned {
		o.warned = true
		o.state.Warn(o.stage())
	}
}
