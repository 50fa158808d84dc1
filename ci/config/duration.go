package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Std is the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String renders the duration as pipeline.yaml has it: "10m", not "10m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON renders the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Duration) UnmarshalJSON(content []byte) error {
	var s string
	if err := json.Unmarshal(content, &s); err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	return d.parse(s)
}

// MarshalYAML renders the duration as a string.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

func (d *Duration) parse(s string) error {
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("read duration: %q is not a time with a unit, such as 90s, 10m or 1h30m", s)
	}
	*d = Duration(parsed)
	return nil
}
