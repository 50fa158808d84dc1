package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manual returns the command man.
func manual() *cobra.Command {
	out := ""
	var c *cobra.Command
	c = command("man", "Write the manual pages of all commands", func(context.Context) error {
		if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // others read manual pages
			return fmt.Errorf("make %s: %w", out, err)
		}
		top := c.Root()
		top.DisableAutoGenTag = true
		// One date for all, so that the same version makes the same pages.
		date := time.Unix(0, 0)
		return doc.GenManTree(top, &doc.GenManHeader{Title: "OPENSTACK-RCA", Section: "1", Source: top.Version, Date: &date}, out)
	})
	c.Flags().StringVar(&out, "out", "man", "directory to write to")
	c.Hidden = true
	return c
}
