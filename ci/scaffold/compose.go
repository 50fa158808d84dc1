package scaffold

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var published = regexp.MustCompile(`(?:^|:)(\d{1,5})(?:/tcp)?$`)

// compose reads the compose file's service that is built from this repository.
func (t *tree) compose() container {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"} {
		if !t.has(name) {
			continue
		}
		var file struct {
			Services map[string]composeService `yaml:"services"`
		}
		if yaml.Unmarshal([]byte(t.text(name)), &file) != nil {
			return container{}
		}
		var built, published []container
		for _, key := range slices.Sorted(maps.Keys(file.Services)) {
			if service := file.Services[key]; service.Build.Kind != 0 {
				found := service.container(name)
				if built = append(built, found); found.port != 0 {
					published = append(published, found)
				}
			}
		}
		switch {
		case len(built) == 1:
			return built[0]
		case len(published) == 1: // the others are workers
			return published[0]
		}
		return container{} // it does not say which of them is the application
	}
	return container{}
}

// composeService is a service of a compose file.
type composeService struct {
	Build       yaml.Node `yaml:"build"`
	Command     yaml.Node `yaml:"command"`
	Ports       yaml.Node `yaml:"ports"`
	Volumes     yaml.Node `yaml:"volumes"`
	Environment yaml.Node `yaml:"environment"`
	EnvFile     yaml.Node `yaml:"env_file"`
	Healthcheck struct {
		Test yaml.Node `yaml:"test"`
	} `yaml:"healthcheck"`
}

func (service composeService) container(name string) container {
	found := container{name: name, command: nodeWords(service.Command)}
	var build struct{ Context, Dockerfile, Target string }
	if service.Build.Decode(&build) == nil && path.Clean(build.Context) == "." {
		found.file, found.target = path.Clean(build.Dockerfile), build.Target
	}
	for _, port := range service.Ports.Content {
		long := struct{ Target string }{port.Value}
		_ = port.Decode(&long) // the short form is not a mapping
		if m := published.FindStringSubmatch(long.Target); m != nil {
			found.port = portOf(m[1])
		}
	}
	for _, volume := range service.Volumes.Content {
		// A named volume is persistent; a bind mount is for development.
		if from, to, is := strings.Cut(volume.Value, ":"); is && plainName.MatchString(from) && from[0] != '.' && !strings.Contains(from, "/") {
			to, _, _ = strings.Cut(to, ":")
			found.volumes = append(found.volumes, path.Clean(to))
		}
		var long struct{ Type, Target string }
		if volume.Kind == yaml.MappingNode && volume.Decode(&long) == nil && long.Type == "volume" {
			found.volumes = append(found.volumes, path.Clean(long.Target))
		}
	}
	for i, entry := range service.Environment.Content {
		if service.Environment.Kind == yaml.SequenceNode || i%2 == 0 {
			key, _, _ := strings.Cut(entry.Value, "=")
			found.vars = append(found.vars, key)
		}
	}
	for _, entry := range append([]*yaml.Node{&service.EnvFile}, service.EnvFile.Content...) {
		if entry.Value != "" {
			found.vars = append(found.vars, "those of "+entry.Value)
		}
	}
	for _, word := range append([]*yaml.Node{&service.Healthcheck.Test}, service.Healthcheck.Test.Content...) {
		if m := askedPath.FindStringSubmatch(word.Value); m != nil {
			found.health = path.Clean(m[1])
		}
	}
	return found
}

// nodeWords returns a command's words: a YAML list, or text that needs no shell.
func nodeWords(node yaml.Node) (words []string) {
	if node.Kind == yaml.ScalarNode {
		return shellWords(node.Value, nil)
	}
	for _, word := range node.Content {
		words = append(words, word.Value)
	}
	return words
}
