//! Time zones by their names in Windows.

use jiff::tz::TimeZone;

/// Names that CLDR keeps although the tz database has renamed the zone:
/// <https://unicode.org/reports/tr35/#Time_Zone_Identifiers>. Only those to which a name of Windows leads.
const RENAMED: [(&str, &str); 9] = [
    ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    ("America/Godthab", "America/Nuuk"),
    ("America/Indianapolis", "America/Indiana/Indianapolis"),
    ("Asia/Calcutta", "Asia/Kolkata"),
    ("Asia/Katmandu", "Asia/Kathmandu"),
    ("Asia/Rangoon", "Asia/Yangon"),
    ("Europe/Kiev", "Europe/Kyiv"),
    ("Etc/UTC", "UTC"),
    ("Etc/GMT", "UTC"),
];

/// The IANA name of a zone by its name in Windows, for no country in particular (CLDR windowsZones, territory 001), or
/// by its IANA name, which newer services take too. `None` for a name of neither.
pub(crate) fn iana(name: &str) -> Option<String> {
    let name = name.trim();
    if let Some(found) = localzone::win_zone_to_iana(name, Some("001")) {
        let renamed = RENAMED.iter().find(|(old, _)| *old == found);
        return Some(renamed.map_or(found, |(_, new)| new).to_owned());
    }
    let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
    Some(zone.iana_name()?.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("UTC", Some("UTC"))]
    #[case("Eastern Standard Time", Some("America/New_York"))]
    #[case("W. Europe Standard Time", Some("Europe/Berlin"))]
    #[case("Romance Standard Time", Some("Europe/Paris"))]
    #[case("GMT Standard Time", Some("Europe/London"))]
    #[case("India Standard Time", Some("Asia/Kolkata"))]
    #[case("Nepal Standard Time", Some("Asia/Kathmandu"))]
    #[case("FLE Standard Time", Some("Europe/Kyiv"))]
    #[case("Lord Howe Standard Time", Some("Australia/Lord_Howe"))]
    #[case("Europe/Stockholm", Some("Europe/Stockholm"))]
    #[case("Mars Standard Time", None)]
    #[case("Kamchatka Standard Time", None)]
    #[case("Etc/Unknown", None)]
    #[case("", None)]
    fn zones(#[case] name: &str, #[case] found: Option<&str>) {
        assert_eq!(iana(name).as_deref(), found);
    }

    /// The names of Windows that CLDR has, one a line.
    #[test]
    fn every_zone_of_windows_has_a_zone_that_schedules_know() {
        let names = include_str!("../tests/windows-zones.txt");
        assert_eq!(names.lines().count(), 139);
        for name in names.lines() {
            let found = iana(name).unwrap_or_else(|| panic!("{name}"));
            assert!(TimeZone::get(&found).is_ok(), "{name}: {found}");
            assert!(found == "UTC" || found.contains('/'), "{name}: {found}");
        }
    }
}
