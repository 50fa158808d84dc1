package supply

import (
	"context"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/supply/vex"
)

// stated adds the exceptions from the source's VEX documents.
func (a *audit) stated(ctx context.Context, place string) {
	if len(a.Config.Security.VEX) == 0 {
		return
	}
	documents := a.Source.Filter(a.Config.Security.VEX, nil)
	names, err := documents.List(ctx)
	if err == nil && len(names) == 0 {
		a.fail(VEXUnreadable, "no file of the source is one of security.vex")
		return
	}
	if err != nil {
		a.fail(VEXUnreadable, "%v", err)
		return
	}
	var all []vex.Statement
	for _, name := range names {
		content, err := documents.Read(ctx, name, fileLimit)
		if err == nil {
			var one []vex.Statement
			one, err = vex.Read(content, place)
			all = append(all, one...)
		}
		if err != nil {
			a.fail(VEXUnreadable, "%s: %v", name, err)
		}
	}
	a.Config.Security.Allow = append(slices.Clone(a.Config.Security.Allow), vex.Exceptions(all)...)
	a.stage.Add("VEX documents", joinOr(names, "none"))
}
