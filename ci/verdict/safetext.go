package verdict

import "github.com/openstack-rca/openstack-rca/ci/safetext"

// Limits of a report, in characters and in list entries.
const (
	maxName  = 300
	maxLine  = safetext.MaxLine
	maxText  = safetext.MaxText
	maxItems = 1000
)

// Mask is safetext.Mask.
const Mask = safetext.Mask

// ShortestMasked is safetext.ShortestMasked.
const ShortestMasked = safetext.ShortestMasked

// Text is safetext.Text.
func Text(s string, limit int) string { return safetext.Text(s, limit) }

// Line is safetext.Line.
func Line(s string, limit int) string { return safetext.Line(s, limit) }

// Masks is safetext.Masks.
func Masks(value string) bool { return safetext.Masks(value) }

// Redact is safetext.Redact.
func Redact(secrets ...string) func(string) string { return safetext.Redact(secrets...) }
