package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
)

// initialise returns the command init.
func (in *invocation) initialise() *cobra.Command {
	var options pipeline.InitOptions
	check := false
	c := command("init", "Look at the source and write its pipeline.yaml, and the file of a CI system; runs nothing without --measure",
		func(ctx context.Context) error {
			return in.with(ctx, func(backend pipeline.Backend) error { return in.setUp(ctx, backend, options, check) })
		})
	c.Flags().BoolVar(&check, "check", false, "Write nothing, show the files, and exit with 1 if any is missing.")
	return bind(c, "init", to{"ci": &options.CI, "measure": &options.Measure})
}

func (in *invocation) setUp(ctx context.Context, backend pipeline.Backend, options pipeline.InitOptions, check bool) error {
	if path, err := filepath.Abs(in.source); err == nil {
		options.Folder = filepath.Base(path)
	}
	options.Version, options.Call = pipeline.ReleaseOf(version(debug.ReadBuildInfo())), in.opts
	setup := pipeline.Init(ctx, backend, options)
	in.closeScreen()
	if setup.Failure != "" {
		_, _ = fmt.Fprintln(in.stderr, setup.Failure)
		return errVerdict
	}
	_, _ = fmt.Fprint(in.stdout, setup.Text)
	for _, name := range slices.Sorted(maps.Keys(setup.New)) {
		if check {
			_, _ = fmt.Fprintf(in.stdout, "\n--- %s\n%s", name, setup.New[name])
			continue
		}
		if err := writeBelow(in.source, name, setup.New[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(setup.Again)) {
		if check {
			_, _ = fmt.Fprintf(in.stdout, "\n--- %s\n%s", name, setup.Again[name])
			continue
		}
		if err := replaceBelow(in.source, name, setup.Old[name], setup.Again[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	for _, failure := range setup.Unmeasured {
		_, _ = fmt.Fprintln(in.stderr, failure)
	}
	switch {
	case check && len(setup.New)+len(setup.Again) > 0, len(setup.Unmeasured) > 0:
		return errVerdict
	case !check:
		_, _ = fmt.Fprintf(in.stdout, "\nNext: openstack-rca test%s\n", in.sourceFlag())
	}
	return nil
}

// sourceFlag repeats --source where it was given.
func (in *invocation) sourceFlag() string {
	if in.source == "." {
		return ""
	}
	return " --source " + in.source
}

// writeBelow writes a file that does not exist, in the directory dir and nowhere else: a link in
// dir does not lead out of it.
func writeBelow(dir, name, content string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	name = filepath.FromSlash(name)
	if folder := filepath.Dir(name); folder != "." {
		if err := root.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0o644))
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Close())
}

// replaceBelow writes a file of the directory dir anew, if it still has the old content.
func replaceBelow(dir, name, old, content string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	found, err := root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	if string(found) != old {
		return errors.New("it was changed meanwhile, and stays as it is")
	}
	return root.WriteFile(filepath.FromSlash(name), []byte(content), 0o644)
}
