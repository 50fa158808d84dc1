package supply

import (
	"strings"
	"time"
)

// lifetime is how long versions of a distribution get advisories without a paid contract.
type lifetime struct {
	// source is the maker's announcement, as of the last comparison: with endoflife.date's copy, and for Amazon Linux with
	// the announcement to its users.
	source, checked string
	// last are the last days, by version.
	last map[string]string
}

// lifetimes are those of distributions, by Grype's names. If the maker announced only a month, its last day is used.
var lifetimes = map[string]lifetime{
	"debian": {"https://wiki.debian.org/LTS", "2026-11-29", map[string]string{ // with LTS
		"9": "2022-06-30", "10": "2024-06-30", "11": "2026-08-31", "12": "2028-06-30", "13": "2030-06-30",
	}},
	"ubuntu": {"https://ubuntu.com/about/release-cycle", "2026-11-29", map[string]string{ // without Pro
		"16.04": "2021-04-30", "18.04": "2023-05-31", "20.04": "2025-05-31", "22.04": "2027-04-30", "24.04": "2029-05-31",
		"24.10": "2025-07-10", "25.04": "2026-01-17", "25.10": "2026-07-31", "26.04": "2031-04-30",
	}},
	"alpine": {"https://alpinelinux.org/releases/", "2026-11-29", map[string]string{
		"3.15": "2023-11-01", "3.16": "2024-05-23", "3.17": "2024-11-22", "3.18": "2025-05-09", "3.19": "2025-11-01", "3.20": "2026-04-01",
		"3.21": "2026-11-01", "3.22": "2027-05-01", "3.23": "2027-11-01",
	}},
	"rhel": {"https://access.redhat.com/support/policy/updates/errata", "2026-11-29", map[string]string{
		"6": "2020-11-30", "7": "2024-06-30", "8": "2029-05-31", "9": "2032-05-31",
	}},
	"centos": {"https://www.centos.org/cl-vs-cs/", "2026-11-29", map[string]string{"7": "2024-06-30", "8": "2021-12-31"}},
	"amazon": amazon, "amzn": amazon,
}

var amazon = lifetime{"https://aws.amazon.com/amazon-linux-2/faqs/", "2026-11-29", map[string]string{
	"2": "2026-06-30", "2023": "2029-06-30",
}}

// ended returns the last day of a distribution in the form "debian 12.5" if it has passed; known is false if its end is
// unknown.
func ended(distribution string, now time.Time) (day string, over, known bool) {
	name, version, _ := strings.Cut(strings.ToLower(distribution), " ")
	for parts := strings.Split(version, "."); len(parts) > 0; parts = parts[:len(parts)-1] {
		if day, known = lifetimes[name].last[strings.Join(parts, ".")]; known {
			last, err := time.Parse(time.DateOnly, day)
			return day, err == nil && !now.Before(last.AddDate(0, 0, 1)), true
		}
	}
	return "", false, false
}
