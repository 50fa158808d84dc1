package assembly

import (
	"context"
	"fmt"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// maxLock bounds a lock file.
const maxLock = 16 << 20

// servingEnvironment is what the image's requirements install: with hashes where the
// files have them, as in the image itself.
func servingEnvironment(ctx context.Context, request pipeline.ImageRequest) (runner.Environment, error) {
	env := runner.Environment{Python: request.Config.Python}
	files := request.Config.Image.Requirements
	if len(files) == 0 {
		return env, nil
	}
	env.Files = request.Source.Filter(files, nil)
	command := []string{"uv", "pip", "install", "--quiet"}
	for _, name := range files {
		content, err := env.Files.Read(ctx, name, maxLock)
		if err != nil {
			return env, fmt.Errorf("image.requirements: %w", err)
		}
		if strings.Contains(string(content), "--hash=") {
			command = append(command, "--require-hashes")
		}
	}
	for _, name := range files {
		command = append(command, "-r", name)
	}
	env.Install = [][]string{command}
	return env, nil
}
