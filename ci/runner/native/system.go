package native

import (
	"context"
	"os/exec"
	"strings"
)

// checkSystem warns of packages of Debian that an environment needs and this machine does not have. A machine without
// dpkg is not checked: there they have other names.
func (r *Runner) checkSystem(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		return
	}
	var missing []string
	for _, name := range names {
		name, _, _ = strings.Cut(name, "=")
		// Since the change of 64-bit times some packages are installed under this other name, and provide the old one.
		// An error says no more than that one of both is not there.
		out, _ := exec.CommandContext(ctx, query, "-W", "-f", "${db:Status-Status}\n", name, name+"t64").Output()
		if !strings.Contains("\n"+string(out), "\ninstalled\n") && ctx.Err() == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		r.warn(CodeSystemMissing, "not installed here: %s", strings.Join(missing, ", "))
	}
}
