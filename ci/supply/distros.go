package supply

import (
	"strings"
	"time"
)

// ends are the last days on which versions of distributions get advisories without a contract, as
// their makers announced them by 2026: of Debian with LTS, of Ubuntu without Pro.
var ends = map[string]string{
	"debian 9": "2022-06-30", "debian 10": "2024-06-30", "debian 11": "2026-08-31", "debian 12": "2028-06-30", "debian 13": "2030-06-30",
	"ubuntu 18.04": "2023-05-31", "ubuntu 20.04": "2025-05-31", "ubuntu 22.04": "2027-04-30", "ubuntu 24.04": "2029-05-31",
	"alpine 3.16": "2024-05-23", "alpine 3.17": "2024-11-22", "alpine 3.18": "2025-05-09", "alpine 3.19": "2025-11-01",
	"alpine 3.20": "2026-04-01", "alpine 3.21": "2026-11-01", "alpine 3.22": "2027-05-01",
	"centos 7": "2024-06-30", "centos 8": "2021-12-31", "rhel 7": "2024-06-30", "rhel 8": "2029-05-31", "rhel 9": "2032-05-31",
	"amazon 2": "2026-06-30", "amazon 2023": "2029-06-30", "amzn 2": "2026-06-30", "amzn 2023": "2029-06-30",
}

// ended is the last day of a distribution in the form "debian 12.5" if it is over; known reports
// whether its end is known at all.
func ended(distribution string, now time.Time) (day string, over, known bool) {
	name, version, _ := strings.Cut(strings.ToLower(distribution), " ")
	for parts := strings.Split(version, "."); len(parts) > 0; parts = parts[:len(parts)-1] {
		if day, known = ends[name+" "+strings.Join(parts, ".")]; known {
			last, err := time.Parse(time.DateOnly, day)
			return day, err == nil && !now.Before(last.AddDate(0, 0, 1)), true
		}
	}
	return "", false, false
}
