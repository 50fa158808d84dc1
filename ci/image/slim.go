package image

import (
	"context"
	_ "embed"
	"slices"
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

// installers are the programs that only an installation needs. Requirements that were written by
// `pip freeze` or by hand name them often.
var installers = []string{"pip", "uv"}

// pruned are the packages without those that image.prune leaves out, and without installers. Running
// the image shows whether it works without them.
func (b builder) pruned(ctx context.Context, packages *dagger.Directory) (*dagger.Directory, error) {
	const site = "lib/python*/site-packages/"
	var globs, left []string
	for _, glob := range b.in.Config.Image.Prune {
		globs = append(globs, site+glob)
	}
	programs, err := packages.Entries(ctx, dagger.DirectoryEntriesOpts{Path: "bin"})
	if err != nil {
		return nil, err
	}
	for _, name := range installers {
		if slices.Contains(programs, name) {
			left = append(left, name)
			globs = append(globs, "bin/"+name, "bin/"+name+"[0-9x]*", site+name, site+name+"-*.dist-info")
		}
	}
	if left != nil {
		b.stage.Add("installers left out of the packages", strings.Join(left, ", "))
	}
	if len(globs) == 0 {
		return packages, nil
	}
	return packages.Filter(dagger.DirectoryFilterOpts{Exclude: globs}), nil
}
