package scaffold

import (
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
)

var (
	aptInstall = regexp.MustCompile(`\bapt(?:-get)?(?:\s+-\S+)*\s+install\s([^;&|]*)`)
	aptName    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	// tools are Debian packages that help to build or run an image, but that no Python package needs.
	tools = regexp.MustCompile(`^(?:git|git-lfs|curl|wget|ca-certificates|gnupg2?|zip|unzip|vim|nano|less|sudo|procps|jq|lsb-release|` +
		`software-properties-common|apt-transport-https|apt-utils|locales|tzdata|netcat.*|docker.*|nodejs|npm|openssh.*|supervisor|nginx|` +
		`tini|gosu|dumb-init|python3?(?:[.-].*)?|pip)$`)
	// otherSource matches commands that add package sources besides Debian.
	otherSource     = regexp.MustCompile(`sources\.list|add-apt-repository|apt-key`)
	importsLightGBM = regexp.MustCompile(`(?m)^[ \t]*(?:import|from)[ \t]+lightgbm\b`)
	// aptLists are files in which application and notebook hosts look for Debian packages.
	aptLists = []string{"packages.txt", "apt.txt", "Aptfile", ".binder/apt.txt", "binder/apt.txt"}
)

// systemPackages proposes the Debian packages that another way to run the application installs. It leaves out those that are
// only for builds: few projects need them, and the failure of a build names them.
func (s *survey) systemPackages() {
	var names, from []string
	add := func(file string, words []string) {
		for _, word := range words {
			word = strings.Trim(word, `"'`)
			if !aptName.MatchString(word) || pyenv.OnlyBuilds(word) || tools.MatchString(word) {
				continue
			}
			if !slices.Contains(names, word) {
				names = append(names, word)
			}
			if !slices.Contains(from, file) {
				from = append(from, file)
			}
		}
	}
	for _, file := range s.tree.names {
		commands := s.project.Around.Commands[file]
		switch {
		case slices.Contains(aptLists, file):
			for line := range strings.Lines(s.tree.text(file)) {
				line, _, _ = strings.Cut(line, "#")
				add(file, strings.Fields(line))
			}
		case file == s.tree.dockerfileName():
			commands = s.tree.instructions(file)
		}
		text := strings.Join(commands, "\n")
		if at := otherSource.FindStringIndex(text); at != nil {
			text = text[:at[0]]
		}
		for _, m := range aptInstall.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(m[1], "\n")
			add(file, strings.Fields(line))
		}
	}
	why := "installed by " + strings.Join(from, ", ")
	if s.tree.uses(importsLightGBM) && !slices.Contains(names, "libgomp1") {
		if names = append(names, "libgomp1"); len(names) == 1 {
			why = "LightGBM needs it"
		} else {
			why += ", and LightGBM needs libgomp1"
		}
	}
	if len(names) > 0 {
		s.set("system_packages", names, "%s", why)
	}
}
