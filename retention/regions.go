package retention

import (
	"strings"
	"time"
)

// The rules of each region as they are kept by businesses. Days that only a town
// keeps are left out: a practice names them in its own settings.

func (y *year) unitedKingdom(region string) {
	scotland := region == "SCT"
	y.fixed(time.January, 1, "New Year's Day", onward)
	y.easter(-2, "Good Friday")
	if y.year == 2020 {
		y.fixed(time.May, 8, "Early May bank holiday", stay) // moved for VE Day
	} else {
		y.nth(1, time.Monday, time.May, "Early May bank holiday")
	}
	if y.year == 2022 {
		y.fixed(time.June, 2, "Spring bank holiday", stay)
		y.fixed(time.June, 3, "Platinum Jubilee", stay)
	} else {
		y.nth(-1, time.Monday, time.May, "Spring bank holiday")
	}
	y.once(2022, time.September, 19, "State Funeral of Queen Elizabeth II")
	y.once(2023, time.May, 8, "Coronation of King Charles III")
	y.fixed(time.December, 25, "Christmas Day", onward)
	y.fixed(time.December, 26, "Boxing Day", onward)
	if scotland {
		y.fixed(time.January, 2, "2 January", onward)
		y.nth(1, time.Monday, time.August, "Summer bank holiday")
		y.fixed(time.November, 30, "St Andrew's Day", onward)
		y.once(2026, time.June, 15, "World Cup bank holiday")
		return
	}
	y.easter(1, "Easter Monday")
	y.nth(-1, time.Monday, time.August, "Summer bank holiday")
	if region == "NIR" {
		y.fixed(time.March, 17, "St Patrick's Day", onward)
		y.fixed(time.July, 12, "Battle of the Boyne", onward)
	}
}

// The law of Ireland moves no holiday, but entitles to a day off instead; banks
// and most businesses take the next working day, and so do we.
func (y *year) ireland() {
	y.fixed(time.January, 1, "New Year's Day", onward)
	if y.year >= 2023 {
		if first := (Date{y.year, time.February, 1}); first.Weekday() == time.Friday {
			y.on(first, "St Brigid's Day")
		} else {
			y.nth(1, time.Monday, time.February, "St Brigid's Day")
		}
	}
	y.fixed(time.March, 17, "St Patrick's Day", onward)
	y.once(2022, time.March, 18, "Day of Remembrance")
	y.easter(1, "Easter Monday")
	y.nth(1, time.Monday, time.May, "May Day")
	y.nth(1, time.Monday, time.June, "June holiday")
	y.nth(1, time.Monday, time.August, "August holiday")
	y.nth(-1, time.Monday, time.October, "October holiday")
	y.fixed(time.December, 25, "Christmas Day", onward)
	y.fixed(time.December, 26, "St Stephen's Day", onward)
}

func (y *year) newZealand(region string) {
	y.fixed(time.January, 1, "New Year's Day", onward)
	y.fixed(time.January, 2, "Day after New Year's Day", onward)
	y.fixed(time.February, 6, "Waitangi Day", onward)
	y.easter(-2, "Good Friday")
	y.easter(1, "Easter Monday")
	y.fixed(time.April, 25, "Anzac Day", monday)
	y.nth(1, time.Monday, time.June, "King's Birthday")
	if md, ok := matariki(y.year); ok {
		y.fixed(md.Month, md.Day, "Matariki", stay)
	}
	y.once(2022, time.September, 26, "Queen Elizabeth II Memorial Day")
	y.nth(4, time.Monday, time.October, "Labour Day")
	y.fixed(time.December, 25, "Christmas Day", onward)
	y.fixed(time.December, 26, "Boxing Day", onward)
	y.anniversary(region)
}

// anniversary is the day that each of New Zealand's regions keeps for itself, as
// most of its people do; Otago, Westland and others leave it to the employer.
func (y *year) anniversary(region string) {
	labour := y.find(4, time.Monday, time.October)
	day, ok := map[string]Date{
		"NTL": y.nearMonday(time.January, 29),
		"AUK": y.nearMonday(time.January, 29),
		"TKI": y.find(2, time.Monday, time.March),
		"HKB": labour.AddDays(-3),
		"WGN": y.nearMonday(time.January, 22),
		"MBH": labour.AddDays(7),
		"NSN": y.nearMonday(time.February, 1),
		"CAN": y.find(1, time.Tuesday, time.November).AddDays(10), // the second Friday after the first Tuesday
		"STC": y.find(4, time.Monday, time.September),
		"WTL": y.nearMonday(time.December, 1),
		"OTA": y.nearMonday(time.March, 23),
		"STL": easterSunday(y.year).AddDays(2),
		"CIT": y.nearMonday(time.November, 30),
	}[region]
	if !ok {
		return
	}
	if region == "OTA" && day == easterSunday(y.year).AddDays(1) {
		day = day.AddDays(1)
	}
	y.on(day, "anniversary of the region")
}

// matariki is fixed by schedule 1 of Te Kāhui o Matariki Public Holiday Act 2022.
func matariki(year int) (MonthDay, bool) {
	days := [...]MonthDay{
		{6, 24}, {7, 14}, {6, 28}, {6, 20}, {7, 10}, {6, 25}, {7, 14}, {7, 6}, {6, 21}, {7, 11}, // 2022 to 2031
		{7, 2}, {6, 24}, {7, 7}, {6, 29}, {7, 18}, {7, 10}, {6, 25}, {7, 15}, {7, 6}, {7, 19}, // 2032 to 2041
		{7, 11}, {7, 3}, {6, 24}, {7, 7}, {6, 29}, {7, 19}, {7, 3}, {6, 25}, {7, 15}, {6, 30}, {6, 21}, // 2042 to 2052
	}
	i := year - 2022
	if i < 0 || i >= len(days) {
		return MonthDay{}, false
	}
	return days[i], true
}

// australia: Western Australia moves several of its holidays from 2028 on. Those
// new rules are not here yet; a practice there uses closed and extra days.
func (y *year) australia(region string) {
	y.fixed(time.January, 1, "New Year's Day", onward)
	y.fixed(time.January, 26, "Australia Day", onward)
	y.easter(-2, "Good Friday")
	if region != "TAS" && region != "WA" {
		y.easter(-1, "Easter Saturday")
	}
	y.easter(1, "Easter Monday")
	anzac := stay
	switch region {
	case "QLD", "SA", "NT":
		anzac = sundayMonday
	case "WA", "ACT":
		anzac = monday
	}
	y.fixed(time.April, 25, "Anzac Day", anzac)
	y.once(2022, time.September, 22, "National Day of Mourning")
	y.fixed(time.December, 25, "Christmas Day", onward)
	y.fixed(time.December, 26, "Boxing Day", onward)

	const labour, king = "Labour Day", "King's Birthday"
	switch region {
	case "NSW", "VIC", "SA", "TAS", "ACT", "NT":
		y.nth(2, time.Monday, time.June, king)
	}
	switch region {
	case "NSW":
		y.once(2026, time.April, 27, "Anzac Day (additional)")
		y.once(2027, time.April, 26, "Anzac Day (additional)")
		y.nth(1, time.Monday, time.October, labour)
	case "VIC":
		y.nth(2, time.Monday, time.March, labour)
		y.on(y.find(-1, time.Saturday, time.September).AddDays(-1), "Friday before the AFL Grand Final")
		y.nth(1, time.Tuesday, time.November, "Melbourne Cup")
	case "SA":
		y.nth(2, time.Monday, time.March, "Adelaide Cup")
		y.nth(1, time.Monday, time.October, labour)
	case "TAS":
		y.nth(2, time.Monday, time.March, "Eight Hours Day")
	case "ACT":
		y.nth(2, time.Monday, time.March, "Canberra Day")
		y.on(y.from(Date{y.year, time.May, 27}, time.Monday), "Reconciliation Day")
		y.nth(1, time.Monday, time.October, labour)
	case "NT":
		y.nth(1, time.Monday, time.May, "May Day")
		y.nth(1, time.Monday, time.August, "Picnic Day")
	case "QLD":
		y.nth(1, time.Monday, time.May, labour)
		y.nth(1, time.Monday, time.October, king)
	case "WA":
		y.nth(1, time.Monday, time.March, labour)
		y.nth(1, time.Monday, time.June, "Western Australia Day")
		if y.year == 2024 {
			y.fixed(time.September, 23, king, stay)
		} else {
			y.nth(-1, time.Monday, time.September, king)
		}
	}
}

// unitedStates are the federal holidays. A practice that works on some of them
// names those as extra days.
func (y *year) unitedStates() {
	y.fixed(time.January, 1, "New Year's Day", nearest)
	y.nth(3, time.Monday, time.January, "Martin Luther King Jr. Day")
	y.nth(3, time.Monday, time.February, "Washington's Birthday")
	y.nth(-1, time.Monday, time.May, "Memorial Day")
	if y.year >= 2021 {
		y.fixed(time.June, 19, "Juneteenth", nearest)
	}
	y.fixed(time.July, 4, "Independence Day", nearest)
	y.nth(1, time.Monday, time.September, "Labor Day")
	y.nth(2, time.Monday, time.October, "Columbus Day")
	y.fixed(time.November, 11, "Veterans Day", nearest)
	y.nth(4, time.Thursday, time.November, "Thanksgiving Day")
	y.fixed(time.December, 25, "Christmas Day", nearest)
}

// canada without a province holds the days that all provinces share. With one, it
// holds the province's own statutory days.
func (y *year) canada(province string) {
	y.fixed(time.January, 1, "New Year's Day", onward)
	y.easter(-2, "Good Friday")
	y.fixed(time.July, 1, "Canada Day", onward)
	y.nth(1, time.Monday, time.September, "Labour Day")
	y.fixed(time.December, 25, "Christmas Day", onward)
	in := func(provinces string) bool { return province != "" && strings.Contains(provinces, province) }

	if in("AB BC MB NT NU ON QC SK YT") {
		y.on(y.from(Date{y.year, time.May, 18}, time.Monday), "Victoria Day") // the Monday before 25 May
		y.nth(2, time.Monday, time.October, "Thanksgiving Day")
	}
	if in("AB BC MB NB NS ON PE SK") { // under several names
		y.nth(3, time.Monday, time.February, "Family Day")
	}
	if in("NB NT NU SK BC") {
		y.nth(1, time.Monday, time.August, "Civic Holiday")
	}
	if in("AB BC MB NB NL NS NT NU PE YT") {
		y.fixed(time.November, 11, "Remembrance Day", stay)
	}
	if since := map[string]int{"PE": 2022, "NT": 2022, "NU": 2022, "BC": 2023, "YT": 2023, "MB": 2024}[province]; since > 0 && y.year >= since {
		y.fixed(time.September, 30, "National Day for Truth and Reconciliation", stay)
	}
	switch province {
	case "ON":
		y.fixed(time.December, 26, "Boxing Day", onward)
	case "QC":
		y.fixed(time.June, 24, "National Holiday", sunday)
	case "SK":
		y.fixed(time.November, 11, "Remembrance Day", sunday)
	case "NU":
		y.fixed(time.July, 9, "Nunavut Day", sunday)
	case "NT":
		y.fixed(time.June, 21, "National Indigenous Peoples Day", stay)
	case "YT":
		y.fixed(time.June, 21, "National Indigenous Peoples Day", stay)
		y.nth(3, time.Monday, time.August, "Discovery Day")
	}
}

func (y *year) netherlands() {
	y.fixed(time.January, 1, "New Year's Day", stay)
	y.easter(1, "Easter Monday")
	if king := (Date{y.year, time.April, 27}); king.Weekday() == time.Sunday {
		y.on(king.AddDays(-1), "King's Day")
	} else {
		y.on(king, "King's Day")
	}
	if y.year%5 == 0 {
		y.fixed(time.May, 5, "Liberation Day", stay)
	}
	y.easter(39, "Ascension Day")
	y.easter(50, "Whit Monday")
	y.fixed(time.December, 25, "Christmas Day", stay)
	y.fixed(time.December, 26, "Second day of Christmas", stay)
}
