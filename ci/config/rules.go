package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ruleKeys are the keys of security that say what a vulnerability leads to.
var ruleKeys = []string{"severity", "unfixed", "grace", "allow"}

// LoadRules reads the rules of a deployer: a file of the given name in the form of pipeline.yaml that
// has nothing but security, with severity, unfixed, grace and allow. What it does not name has its
// default. The error is an *Errors with every problem found.
func LoadRules(content []byte, file string) (Security, error) {
	var problems []Problem
	bad := func(key, format string, args ...any) {
		problems = append(problems, Problem{File: file, Key: key, Message: fmt.Sprintf(format, args...)})
	}
	loaded, err := Load(content, "")
	if err != nil {
		var all *Errors
		if !errors.As(err, &all) {
			return Security{}, err
		}
		for _, p := range all.Problems {
			p.File = file
			problems = append(problems, p)
		}
		return Security{}, sorted(problems)
	}
	var top map[string]yaml.Node
	if err := yaml.Unmarshal(content, &top); err != nil {
		bad("", "%v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(top)) {
		if key != "security" {
			bad(key, "only security can be here: these are rules of the one who deploys")
		}
	}
	var inner map[string]yaml.Node
	if node, has := top["security"]; has {
		if err := node.Decode(&inner); err != nil {
			bad("security", "%v", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(inner)) {
		if !slices.Contains(ruleKeys, key) {
			bad("security."+key, "only %s can be here", strings.Join(ruleKeys, ", "))
		}
	}
	if len(problems) > 0 {
		return Security{}, sorted(problems)
	}
	return loaded.Security, nil
}
