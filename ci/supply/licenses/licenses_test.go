package licenses

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestSPDX(t *testing.T) {
	for want, p := range map[string]Package{
		"MIT":                    {Expression: "MIT"},
		"MIT OR Apache-2.0":      {Expression: "MIT OR Apache-2.0", Text: "see LICENSE"},
		"Apache-2.0":             {Text: "Apache License, Version 2.0"},
		"BSD-3-Clause":           {Text: "BSD 3-Clause", Classifiers: []string{"License :: OSI Approved :: BSD License"}},
		"(BSD-3-Clause) AND MIT": {Text: "BSD 3-Clause", Classifiers: []string{"License :: OSI Approved :: MIT License"}},
		"Zlib":                   {Expression: "Zlib", Classifiers: []string{"License :: OSI Approved :: MIT License"}},
		"PSF-2.0":                {Text: "PSF-2.0", Classifiers: []string{"License :: OSI Approved :: Python Software Foundation License"}},
		"LGPL-2.1-or-later": {Text: "LGPL-2.1-or-later",
			Classifiers: []string{"License :: OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)"}},
		"LGPL-3.0-or-later": {Text: "LGPL-3.0-or-later",
			Classifiers: []string{"License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"}},
		"ISC": {Text: "a long text\nwith lines", Classifiers: []string{"License :: OSI Approved :: ISC License (ISCL)"}},
		"MIT AND MPL-2.0": {Classifiers: []string{"License :: OSI Approved :: MIT License", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
			"License :: OSI Approved :: MIT License"}},
	} {
		assert.Equal(t, want, p.SPDX())
	}
	for _, p := range []Package{{}, {Text: "UNKNOWN"}, {Text: "BSD"}, {Classifiers: []string{"License :: Other/Proprietary License"}}} {
		assert.Empty(t, p.SPDX(), "%v", p)
	}
}

func TestJudge(t *testing.T) {
	only := config.Licenses{Allow: []string{"MIT", "Apache-2.0"}}
	without := config.Licenses{Deny: []string{"AGPL-3.0-only"}}
	for name, tc := range map[string]struct {
		license         string
		rules           config.Licenses
		denied, unknown int
	}{
		"allowed":                       {"MIT", only, 0, 0},
		"not allowed":                   {"GPL-3.0-only", only, 1, 0},
		"a choice":                      {"GPL-3.0-only OR MIT", only, 0, 0},
		"both":                          {"GPL-3.0-only AND MIT", only, 1, 0},
		"unknown":                       {"", only, 0, 1},
		"not denied":                    {"GPL-3.0-only", without, 0, 0},
		"denied":                        {"AGPL-3.0-only", without, 1, 0},
		"a choice without the denied":   {"AGPL-3.0-only OR MIT", without, 0, 0},
		"both, one of which is denied":  {"AGPL-3.0-only AND MIT", without, 1, 0},
		"denied under its older name":   {"AGPL-3.0", without, 1, 0},
		"denied, or a later one":        {"AGPL-3.0-or-later", without, 1, 0},
		"denied, or a later one, older": {"AGPL-3.0+", without, 1, 0},
		"allowed and denied":            {"MIT", config.Licenses{Allow: []string{"MIT"}, Deny: []string{"mit"}}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := Judge([]Package{{Name: "Demo", Version: "1", Expression: tc.license}}, tc.rules, now)
			assert.Len(t, v.Denied, tc.denied)
			assert.Len(t, v.Unknown, tc.unknown)
		})
	}
	agpl := "License :: OSI Approved :: GNU Affero General Public License v3"
	v := Judge([]Package{
		{Name: "a", Classifiers: []string{"License :: OSI Approved :: MIT License", "License :: Other/Proprietary License"}},
		{Name: "b", Classifiers: []string{"License :: OSI Approved", agpl, "License :: Other/Proprietary License"}},
		{Name: "c", Text: "MIT", Classifiers: []string{agpl}},
		{Name: "d", Classifiers: []string{"License :: OSI Approved", "License :: OSI Approved :: MIT License"}},
	}, without, now)
	assert.Equal(t, []string{"a : MIT, and License :: Other/Proprietary License"}, v.Unknown)
	assert.Equal(t, []string{
		"b : AGPL-3.0-only", "c : (MIT) AND AGPL-3.0-only",
	}, v.Denied)
	only.Except = []config.ExceptedLicense{{Package: "demo", Reason: "ours", Until: "2027-01-31"}}
	v = Judge([]Package{{Name: "Demo", Expression: "GPL-3.0-only"}}, only, now)
	assert.Len(t, v.Excepted, 1)
	assert.Empty(t, v.Denied)
	only.Except[0].Until = "2026-11-01"
	v = Judge([]Package{{Name: "Demo", Expression: "GPL-3.0-only"}}, only, now)
	assert.Len(t, v.Denied, 1)
	assert.Len(t, v.Expired, 1)
}
