package config

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// fill sets every field to a value that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("text"), reflect.ValueOf("text"))
	}
}

// missing lists the fields below v that are zero.
func missing(path string, v reflect.Value) []string {
	var all []string
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			all = append(all, missing(path+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
	case v.IsZero():
		all = append(all, path)
	}
	return all
}

func TestTheRolloutGetsEveryKey(t *testing.T) {
	var c Config
	fill(reflect.ValueOf(&c.Rollout).Elem())
	fill(reflect.ValueOf(&c.Image).Elem())
	c.Name, c.set = "app", []string{"rollout.cpu"}
	got := c.RolloutSpec()
	// Only further services are without a port, or have a command of their own.
	assert.Equal(t, []string{"Spec.NoPort", "Spec.Command"}, missing("Spec", reflect.ValueOf(got)))
	assert.Equal(t, reflect.TypeOf(c.Rollout).NumField(), reflect.TypeOf(got).NumField()-5, "a key of rollout that the rollout does not take")
	assert.Equal(t, []spec.Volume{{Path: "text", FileSystem: "text", AccessPoint: "text", IAM: true}}, got.Volumes)
}

func TestTheRolloutGetsTheValuesOfItsKeys(t *testing.T) {
	c := Default()
	c.Rollout.Min, c.Rollout.Desired, c.Rollout.Max = 1, 2, 3
	c.Rollout.StartPeriod, c.Rollout.Drain, c.Rollout.PauseTimeout = Duration(time.Second), Duration(2*time.Second), Duration(3*time.Second)
	c.Rollout.BalancerSubnets, c.Rollout.Subnets = []string{"b"}, []string{"s"}
	c.Publish.ArtifactRoot = "s3://models/root"
	got := c.RolloutSpec()
	assert.Equal(t, []int{1, 2, 3}, []int{got.Min, got.Desired, got.Max})
	assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, []time.Duration{got.StartPeriod, got.Drain, got.PauseTimeout})
	assert.Equal(t, [][]string{{"b"}, {"s"}}, [][]string{got.BalancerSubnets, got.Subnets})
	assert.Equal(t, "s3://models/root", got.Journal, "the publish stage's bucket holds the journal unless rollout.journal names one")
	assert.Equal(t, []string{spec.DefaultCluster, spec.DefaultService, spec.DefaultFamily}, []string{got.Cluster, got.Service, got.Family})
	c.Rollout.Journal = "s3://journal"
	assert.Equal(t, "s3://journal", c.RolloutSpec().Journal)
}

func TestKeysThatAnAdoptedServiceHasItself(t *testing.T) {
	text := "rollout: {cpu: 1024, soak: 1h, vars: {A: b}}\nenvironments:\n  staging: {rollout: {desired: 2}}\n" +
		"  production: {rollout: {adopt: service, account: '111122223333', cluster: shop, service: web, memory: 2048, pause_timeout: 2h,\n" +
		"    trial: false, analysis: [{name: a, command: [x]}]}}\n"
	c, err := Load([]byte(text), "production")
	assert.NoError(t, err)
	// Also those that are set to their default, and only those of this environment.
	assert.Equal(t, []string{"rollout.cpu", "rollout.memory", "rollout.pause_timeout", "rollout.vars"}, c.RolloutSpec().WithoutEffect)
	c, err = Load([]byte(text), "staging")
	assert.NoError(t, err)
	assert.Empty(t, c.RolloutSpec().WithoutEffect, "this one is made here")
	known := map[string]bool{}
	for _, k := range keys {
		known[k.path] = true
	}
	for _, name := range forAdopted {
		assert.True(t, known[name], name)
	}
}
