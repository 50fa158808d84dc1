package image

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// declared adds what the file does not declare and the pipeline knows: the port, which the start then proves, and the health check.
func (b builder) declared(ctx context.Context, image *dagger.Container) (*dagger.Container, error) {
	c := b.in.Config.Image
	ports, err := image.ExposedPorts(ctx)
	if err != nil {
		return nil, err
	}
	if len(ports) == 0 {
		image = image.WithExposedPort(c.Port)
		b.stage.Add("exposed by the pipeline", strconv.Itoa(c.Port))
	}
	check, err := image.DockerHealthcheck().Args(ctx)
	if err == nil && len(check) == 0 {
		image = withHealthcheck(image, c, "python3")
		b.stage.Add("health check", "image.health, added by the pipeline: "+c.Dockerfile+" has none")
	}
	return image, err
}

// withHealthcheck declares the health check that asks image.health, by the named Python.
func withHealthcheck(image *dagger.Container, c config.Image, python string) *dagger.Container {
	command := healthCommand(c.Port, c.Health)
	command[0] = python
	return image.WithDockerHealthcheck(command, dagger.ContainerWithDockerHealthcheckOpts{
		Interval: checkInterval, Timeout: checkTimeout, Retries: checkRetries,
		StartPeriod: time.Duration(c.StartBudget).String(), StartInterval: "2s",
	})
}

// healthCommand requests the health path with Python, which every such image has. It ignores
// a proxy in the task's environment.
func healthCommand(port int, health string) []string {
	return []string{"python", "-I", "-S", "-c", fmt.Sprintf(
		"import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:%d%s', timeout=8)",
		port, strings.ReplaceAll(health, "'", "%27"))}
}

// withoutModels is a source without what lies in the model's directory, except for code that is not of the model itself: a package
// may have the directory's name.
func withoutModels(source *dagger.Directory, dir string, gated ...string) *dagger.Directory {
	dir = path.Clean(dir)
	var exclude []string
	for _, name := range gated {
		exclude = append(exclude, glob.Escape(path.Join(dir, name)))
	}
	code := source.Filter(dagger.DirectoryFilterOpts{Include: []string{dir + "/**/*.py"}, Exclude: exclude})
	return source.Filter(dagger.DirectoryFilterOpts{Exclude: []string{dir}}).WithDirectory(".", code)
}
