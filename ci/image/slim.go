package image

import (
	"context"
	_ "embed"
	"strings"

	"dagger.io/dagger"
)

//go:embed scripts/slim.py
var slimScript string

// slim leaves out of the prepared base and of the packages what an application that serves does
// not read. The base becomes one layer: what a further layer removes, an image still carries.
func (b builder) slim(
	ctx context.Context, maker, prepared *dagger.Container, packages *dagger.Directory,
) (*dagger.Container, *dagger.Directory, error) {
	base := b.python(maker.WithMountedDirectory(rootDir, b.client.Directory()).WithMountedDirectory("/base", prepared.Directory(rootDir)),
		"slim.py", slimScript, "base", "/base", rootDir)
	tree := b.python(maker.WithMountedDirectory("/tree", packages), "slim.py", slimScript, "packages", "/tree")
	for _, from := range []struct {
		name string
		made *dagger.Container
	}{{"base", base}, {"packages", tree}} {
		said, err := from.made.Stdout(ctx)
		if err != nil {
			return nil, nil, err
		}
		b.stage.Add("left out of the "+from.name, strings.TrimSpace(said))
	}
	return base, tree.Directory("/tree"), nil
}

// pruned are the packages without those that image.prune leaves out. Running the image shows
// whether it works without them.
func (b builder) pruned(packages *dagger.Directory) *dagger.Directory {
	var globs []string
	for _, glob := range b.in.Config.Image.Prune {
		globs = append(globs, "lib/python*/site-packages/"+glob)
	}
	if len(globs) == 0 {
		return packages
	}
	return packages.Filter(dagger.DirectoryFilterOpts{Exclude: globs})
}
