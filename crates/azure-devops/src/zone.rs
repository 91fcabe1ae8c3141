//! Time zones by their names in Windows, which Azure DevOps goes by.

/// Zones that the tz database has renamed; CLDR, from which the names of Windows come, keeps the old names:
/// <https://unicode.org/reports/tr35/#Time_Zone_Identifiers>.
const RENAMED: [(&str, &str); 22] = [
    ("Africa/Asmara", "Africa/Asmera"),
    ("America/Argentina/Buenos_Aires", "America/Buenos_Aires"),
    ("America/Argentina/Catamarca", "America/Catamarca"),
    ("America/Argentina/Cordoba", "America/Cordoba"),
    ("America/Argentina/Jujuy", "America/Jujuy"),
    ("America/Argentina/Mendoza", "America/Mendoza"),
    ("America/Atikokan", "America/Coral_Harbour"),
    ("America/Indiana/Indianapolis", "America/Indianapolis"),
    ("America/Kentucky/Louisville", "America/Louisville"),
    ("America/Nuuk", "America/Godthab"),
    ("Asia/Ho_Chi_Minh", "Asia/Saigon"),
    ("Asia/Kathmandu", "Asia/Katmandu"),
    ("Asia/Kolkata", "Asia/Calcutta"),
    ("Asia/Yangon", "Asia/Rangoon"),
    ("Atlantic/Faroe", "Atlantic/Faeroe"),
    ("Etc/GMT", "UTC"),
    ("Etc/UTC", "UTC"),
    ("Europe/Kyiv", "Europe/Kiev"),
    ("Europe/Nicosia", "Asia/Nicosia"),
    ("Pacific/Chuuk", "Pacific/Truk"),
    ("Pacific/Kanton", "Pacific/Enderbury"),
    ("Pacific/Pohnpei", "Pacific/Ponape"),
];

/// The name that Windows has for a time zone of the tz database, such as `W. Europe Standard Time` for
/// `Europe/Berlin`; none for zones that CLDR does not list, such as `US/Pacific`, an old name.
pub fn windows_zone(iana: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(name, _)| *name == iana).map(|(_, old)| *old);
    match renamed.unwrap_or(iana) {
        "UTC" => Some("UTC"),
        name => localzone::iana_to_win_zone(name).map(|(zone, _)| zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("UTC", Some("UTC"))]
    #[case("Etc/UTC", Some("UTC"))]
    #[case("Europe/Berlin", Some("W. Europe Standard Time"))]
    #[case("Europe/Stockholm", Some("W. Europe Standard Time"))]
    #[case("Europe/London", Some("GMT Standard Time"))]
    #[case("America/New_York", Some("Eastern Standard Time"))]
    #[case("Asia/Kolkata", Some("India Standard Time"))]
    #[case("Asia/Calcutta", Some("India Standard Time"))]
    #[case("US/Pacific", None)]
    #[case("Mars/Olympus", None)]
    #[case("", None)]
    fn names(#[case] iana: &str, #[case] windows: Option<&str>) {
        assert_eq!(windows_zone(iana), windows);
    }

    #[test]
    fn every_renamed_zone_has_a_name() {
        for (name, _) in RENAMED {
            assert!(windows_zone(name).is_some(), "{name}");
        }
    }
}
