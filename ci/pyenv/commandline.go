package pyenv

import (
	"regexp"
	"slices"
	"strings"
)

// commandsOf returns the commands of a script, which is a line, a list of lines, or a table with either of these or with
// words.
func commandsOf(value any) (all [][]string) {
	switch value := value.(type) {
	case string:
		return [][]string{splitWords(value)}
	case []any:
		for _, element := range value {
			all = append(all, commandsOf(element)...)
		}
	case map[string]any:
		if words, is := value["cmd"].([]any); is {
			return [][]string{wordsOf(words)}
		}
		for _, key := range []string{"cmd", "shell", "composite", "sequence"} {
			all = append(all, commandsOf(value[key])...)
		}
	}
	return all
}

// wordsOf returns the words of a command given as a list. tox allows tables in it.
func wordsOf(value any) (words []string) {
	switch value := value.(type) {
	case string:
		return []string{unrooted(value)}
	case []any:
		for _, element := range value {
			words = append(words, wordsOf(element)...)
		}
	case map[string]any:
		return wordsOf(value["default"])
	}
	return words
}

var (
	// posargs matches arguments that the caller can replace, with their defaults.
	posargs = regexp.MustCompile(`\{(?:posargs|args)(?::([^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}`)
	// rooted are the placeholders for the source and for the installation in tools' settings.
	rooted = regexp.MustCompile(`\{(?:toxinidir|tox_root|root|envsitepackagesdir|env_site_packages_dir)\}(?:/|\{/\})`)
	quoted = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)
)

func unrooted(text string) string {
	return strings.ReplaceAll(rooted.ReplaceAllString(posargs.ReplaceAllString(text, "$1"), ""), "{/}", "/")
}

// splitWords splits a command line, respecting quotes.
func splitWords(text string) (words []string) {
	text = unrooted(text)
	end := -1
	for _, at := range quoted.FindAllStringIndex(text, -1) {
		part := strings.Trim(text[at[0]:at[1]], `"'`)
		if at[0] == end && len(words) > 0 {
			words[len(words)-1] += part // --ignore="a b"
		} else {
			words = append(words, part)
		}
		end = at[1]
	}
	return words
}

// separate splits a line into the commands that a shell would separate. A command that runs in another directory begins with
// "cd". The right side of a pipe is dropped.
func separate(words []string) (all [][]string) {
	var one []string
	moved, piped := false, false
	for _, word := range append(slices.Clone(words), ";") {
		name, end := strings.CutSuffix(word, ";")
		if end = end || word == "&&" || word == "||" || word == "|"; !end || name != "" && name != word {
			if !piped {
				one = append(one, name)
			}
		}
		if !end {
			continue
		}
		if moved && len(one) > 0 {
			one = slices.Insert(one, 0, "cd")
		}
		moved = moved || len(one) > 0 && one[0] == "cd"
		all, one, piped = append(all, one), nil, word == "|"
	}
	return all
}
