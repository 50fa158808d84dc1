package rollout

import (
	"net/url"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// Link is an address in the AWS Management Console.
type Link struct {
	// Name is what the page shows.
	Name, URL string
}

// Links are the console pages of the service, its logs, its alarms and its dashboard; nil in
// a partition whose console has no public address.
func (p *Plan) Links() []Link {
	console := partition.Console(p.Region)
	if console == "" {
		return nil
	}
	n := p.settings.names
	region := "?region=" + p.Region
	watch := console + "/cloudwatch/home" + region + "#"
	all := []Link{
		{"service", console + "/ecs/v2/clusters/" + n.cluster + "/services/" + n.service + "/health" + region},
		{"deployments", console + "/ecs/v2/clusters/" + n.cluster + "/services/" + n.service + "/deployments" + region},
	}
	if p.Adopts() {
		return all
	}
	return append(all, []Link{
		{"logs", watch + "logsV2:log-groups/log-group/" + fragment(n.logGroup)},
		{"alarms", watch + "alarmsV2:?search=" + url.QueryEscape(n.scope)},
		{"dashboard", watch + "dashboards/dashboard/" + url.PathEscape(n.scope)},
	}...)
}

// fragment escapes a name as CloudWatch's console does: twice, with $ in place of %.
func fragment(name string) string {
	return strings.ReplaceAll(url.QueryEscape(url.QueryEscape(name)), "%", "$")
}
