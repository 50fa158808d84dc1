// Command grafana decodes dashboards with the types of Grafana's foundation SDK, and fails for one that they
// do not know or that lacks a field. It is a module of its own: nothing else needs the SDK.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func check(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var d dashboard.Dashboard
	err = d.UnmarshalJSONStrict(content)
	// Version 0.0.22 returns an error without a cause when there is none.
	if none := (cog.BuildErrors)(nil); errors.As(err, &none) && len(none) == 0 {
		err = nil
	}
	if err != nil {
		return err
	}
	if len(d.Panels) == 0 || d.Uid == nil || d.Title == nil {
		return errors.New("it has no panel, no uid or no title")
	}
	return d.Validate()
}
