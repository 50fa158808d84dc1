package native

import (
	"context"
	"os/exec"
	"strings"
)

// checkSystem warns about missing Debian packages. It does nothing on systems without dpkg, where packages have other names.
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
		// Since Debian's change to 64-bit times some packages have this other name and provide the old one. An error only
		// means that one of the two is missing.
		out, _ := exec.CommandContext(ctx, query, "-W", "-f", "${db:Status-Status}\n", name, name+"t64").Output()
		if !strings.Contains("\n"+string(out), "\ninstalled\n") && ctx.Err() == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		r.warn(CodeSystemMissing, "not installed here: %s", strings.Join(missing, ", "))
	}
}
