# Prints the public holidays of every region as the Python library holidays knows
# them: the independent table that oracle_test.go compares with. Its argument is
# the first year and the number of years.
import sys
from datetime import date

import holidays

first, years = int(sys.argv[1]), int(sys.argv[2])
span = range(first, first + years)

regions = {
    "GB": holidays.England, "GB-ENG": holidays.England, "GB-WLS": holidays.Wales,
    "GB-SCT": holidays.Scotland, "GB-NIR": holidays.NorthernIreland,
    "IE": holidays.Ireland, "NL": holidays.Netherlands, "US": holidays.UnitedStates,
}
for state in ["ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA"]:
    regions["AU-" + state] = lambda state=state, **k: holidays.Australia(prov=state, **k)
for region in ["NTL", "AUK", "TKI", "HKB", "WGN", "MBH", "NSN", "CAN", "STC", "WTL", "OTA", "STL", "CIT"]:
    regions["NZ-" + region] = lambda region=region, **k: holidays.NewZealand(prov=region, **k)
for province in ["AB", "BC", "MB", "NB", "NL", "NS", "NT", "NU", "ON", "PE", "QC", "SK", "YT"]:
    regions["CA-" + province] = lambda province=province, **k: holidays.Canada(prov=province, **k)

print("# Public holidays on weekdays by python-holidays", holidays.__version__, "(MIT license, Debian package python3-holidays),",
      "for", years, "years from", first)
# Days that several regions share stand in one line: regions, name, dates.
days = {}
for region in regions:
    table = regions[region](years=span)
    for day in sorted(table):
        if day.weekday() < 5 and day.year in span:
            days.setdefault((table.get(day), region), []).append(day.isoformat())
lines = {}
for (name, region), dates in days.items():
    lines.setdefault((name, " ".join(dates)), []).append(region)
for (name, dates), shared in sorted(lines.items()):
    print(" ".join(sorted(shared)), "|", name, "|", dates)
