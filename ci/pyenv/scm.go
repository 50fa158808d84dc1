package pyenv

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pretend is the variable that tells setuptools-scm and similar tools the version to build. In a stage's variables it applies
// to every tool that computes the version from git.
const pretend = "SETUPTOOLS_SCM_PRETEND_VERSION"

var (
	// scmTools are build requirements that compute the version from git.
	scmTools = regexp.MustCompile(`^(?:setuptools[-_.]scm|hatch-vcs|flit[-_]scm|setuptools-git-versioning|versioningit|versioneer|pbr|` +
		`uv-dynamic-versioning|poetry-dynamic-versioning|hatch-regex-commit|vcs-versioning|dunamai|setuptools-vcs)\b`)
	// scmSetup matches a setup.py that makes setuptools compute the version.
	scmSetup       = regexp.MustCompile(`use_scm_version|pbr\s*=\s*True|versioneer`)
	packageVersion = regexp.MustCompile(`(?m)^Version:\s*(\S+)`)
)

// version finds out whether a version comes from git, and which one an sdist records.
func (d *draft) version() {
	for _, dir := range d.project.locals {
		toml := d.manifest(dir)
		requires := toml.sub("build-system").strs("requires")
		computed := slices.ContainsFunc(requires, func(r string) bool { return scmTools.MatchString(strings.ToLower(r)) }) ||
			toml.sub("tool", "pdm", "version").str("source") == "scm" ||
			scmSetup.MatchString(d.text(in(dir, "setup.py")))
		if !computed {
			continue
		}
		info := in(dir, "PKG-INFO")
		if m := packageVersion.FindStringSubmatch(d.text(info)); m != nil {
			d.project.hint = cmp.Or(d.project.hint, m[1])
		}
		name := dir
		if dir == "." {
			name = cmp.Or(d.project.Name, "the project")
		}
		if d.project.scm == nil {
			d.project.scm = map[string]computedVersion{}
		}
		d.project.scm[dir] = computedVersion{name: cmp.Or(toml.sub("project").str("name"), name), info: info, has: d.has(info)}
	}
	if len(d.project.scm) == 0 {
		return
	}
	// uv may have to build metadata to find the dependencies, and such a build asks git.
	for i, command := range d.project.install {
		if len(command) > 2 && command[0] == "uv" && command[1] == "pip" {
			d.project.install[i] = append([]string{"env"}, append(versions(cmp.Or(d.project.hint, unknownVersion)), command...)...)
			for name, content := range d.project.infos(cmp.Or(d.project.hint, unknownVersion)) {
				d.project.written[name] = content
			}
		}
	}
}

// unknownVersion is used for a project whose version only git knows.
const unknownVersion = "0.0.0"

// computedVersion is a package whose version comes from git: its name, and its PKG-INFO if the source has one.
type computedVersion struct {
	name, info string
	has        bool
}

// versionFor returns the version for the builds: from the variables, from an sdist, or none.
func (p *Project) versionFor(vars map[string]string) string {
	return cmp.Or(vars[pretend], p.hint, unknownVersion)
}

// infos are the files that tell the version to tools without a variable for it: these treat a directory with PKG-INFO as an
// sdist.
func (p *Project) infos(version string) map[string][]byte {
	files := map[string][]byte{}
	for _, of := range p.scm {
		if !of.has {
			files[of.info] = fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", of.name, version)
		}
	}
	return files
}

// versions are the variables that tell the version to tools that compute it from git.
func versions(version string) []string {
	var out []string
	for _, name := range []string{
		pretend, "PBR_VERSION", "PDM_BUILD_SCM_VERSION", "UV_DYNAMIC_VERSIONING_BYPASS", "POETRY_DYNAMIC_VERSIONING_BYPASS",
	} {
		out = append(out, name+"="+version)
	}
	return out
}

// plainVersion matches a version that builds do not normalise.
func plainVersion(version string) string {
	return strings.TrimPrefix(strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(version)), "v")
}

// judgeVersion warns about a package that was built with a wrong version, or not at all.
func (b *Built) judgeVersion(p *Project, project described, vars map[string]string) {
	of, computed := p.scm[project.Dir]
	wanted := p.versionFor(vars)
	known := wanted != unknownVersion
	if !computed || known && (project.Error != "" || plainVersion(project.Version) == plainVersion(wanted)) {
		return
	}
	found := Finding{Code: For(p.Stage, VersionUnknown)}
	next := fmt.Sprintf("If that matters, set %s under %s.vars in pipeline.yaml to the version", pretend, p.Stage)
	switch {
	case known:
		found.Cause = fmt.Sprintf("the version of %s is computed from git, which the build does not see: it is %s instead of %s", of.name,
			project.Version, wanted)
		found.Next = "Its tool takes no version from outside: give --source the files of `git archive` of a tag, or write the version down"
	case project.Error != "":
		found.Cause = fmt.Sprintf("the version of %s is computed from git, which the build does not see, and the build failed", of.name)
		found.Next = next
	default:
		found.Cause = fmt.Sprintf("the version of %s is computed from git, which the build does not see: it is %s", of.name, project.Version)
		found.Next = next
	}
	b.Findings = append(b.Findings, found)
}
