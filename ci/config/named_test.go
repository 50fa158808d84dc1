package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func namesOf(c Config) []string {
	return []string{c.Name, c.Train.Experiment, c.Publish.Experiment, c.Publish.Model, c.Image.Repository, c.Rollout.Cluster, c.Rollout.Service, c.Rollout.Family}
}

func TestEverythingIsCalledAfterTheApplication(t *testing.T) {
	document := namesOf(Default())
	for sentence, c := range map[string]struct {
		file, environment, project string
		want                       []string
	}{
		"nothing is named": {"", Staging, "", document},
		"the document's":   {"name: openstack-rca-system", Production, "", document},
		"the file names it": {"name: ticket.sorter", Staging, "other", []string{"ticket.sorter", "ticket_sorter_staging",
			"ticket_sorter_{{environment}}", "model", "ticket-sorter", "ticket-sorter-cluster-staging", "ticket-sorter-service-staging",
			"ticket-sorter-task-staging"}},
		"production has the plain names": {"name: tiny\nrollout: {service: mine}\nenvironments: {production: {publish: {experiment: own, model: mine}}}",
			Production, "", []string{"tiny", "tiny_staging", "own", "mine", "tiny", "tiny-cluster", "mine", "tiny-task"}},
		"the project names itself": {"image: {repository: registry.example/team/x}", Sandbox, "My_Project.Name", []string{"my-project-name",
			"my_project_name_staging", "my_project_name_{{environment}}", "model", "registry.example/team/x", "my-project-name-cluster-sandbox",
			"my-project-name-service-sandbox", "my-project-name-task-sandbox"}},
		"one letter":        {"name: a", Production, "", []string{"a", "a_staging", "a_{{environment}}", "model", "a-app", "a-cluster", "a-service", "a-task"}},
		"a name of nothing": {"", Sandbox, "___", document},
	} {
		t.Run(sentence, func(t *testing.T) {
			cfg, err := Load([]byte(c.file), c.environment)
			require.NoError(t, err)
			cfg.NameAfter(c.project)
			assert.Equal(t, c.want, namesOf(cfg))
			again, err := Load(Show(cfg), c.environment)
			require.NoError(t, err, "what follows from a name is valid")
			assert.Equal(t, c.want, namesOf(again))
		})
	}
}
