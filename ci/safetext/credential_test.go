package safetext_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

func TestCredentialsAreToldByTheirForm(t *testing.T) {
	some := strings.Repeat("Ab1", 14)
	for _, prefix := range []string{"gh" + "p_", "github" + "_pat_", "gl" + "pat-", "xo" + "xb-", "dckr" + "_pat_", "s" + "k-ant-", "s" + "k-proj-"} {
		assert.True(t, safetext.IsCredential("TOKEN="+prefix+some), prefix)
	}
	for _, text := range []string{"AK" + "IA" + strings.Repeat("A1", 8), "ey" + "J" + some + ".ey" + "J" + some,
		"-----BEGIN RSA " + "PRIVATE KEY-----", "https://user:" + some + "@host/"} {
		assert.True(t, safetext.IsCredential("in "+text+" it"), text)
	}
	for _, text := range []string{"", "task-force-of-2026-and-more-words", "https://host:8080/a@b", "-----BEGIN CERTIFICATE-----", "sk-learn",
		"ASIA", "ghp_short"} {
		assert.False(t, safetext.IsCredential(text), text)
	}
}
