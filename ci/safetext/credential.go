package safetext

import "regexp"

// credential are the forms of credentials that are told by themselves, whatever holds them: access keys of
// AWS, tokens of GitHub, GitLab, Slack, Docker and of services of models, signed tokens of sessions, private
// keys, and addresses with a password. A search of files is the scanner's, with many more rules.
var credential = regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{20}|\bgithub_pat_\w{20}|\bglpat-[\w-]{8}|` +
	`\bxox[abprs]-[0-9A-Za-z-]{8}|\bdckr_pat_[\w-]{20}|\bsk-ant-[\w-]{8}|\bsk-[\w-]{20}|\beyJ[\w-]{10,}\.eyJ|` +
	`-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@`)

// IsCredential reports whether a text has something in the form of a credential in it.
func IsCredential(text string) bool { return credential.MatchString(text) }
