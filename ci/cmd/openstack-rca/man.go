package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manual returns the command man.
func manual() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages of all commands into a directory", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // others read manual pages
				return fmt.Errorf("make %s: %w", args[0], err)
			}
			top := c.Root()
			top.DisableAutoGenTag = true
			// One date for all, so that the same version makes the same pages.
			date := time.Unix(0, 0)
			return doc.GenManTree(top, &doc.GenManHeader{Title: "OPENSTACK-RCA", Section: "1", Source: top.Version, Date: &date}, args[0])
		},
	}
}
