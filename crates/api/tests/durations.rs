//! How durations are read and written.

use jiff::SignedDuration;
use poolkeeper_api::duration::{DurationError, format, parse, parse_agent_lifetime};
use rstest::rstest;

#[rstest]
#[case("0s", 0)]
#[case("45s", 45)]
#[case("30m", 1_800)]
#[case("90m", 5_400)]
#[case("1h30m", 5_400)]
#[case("1h30m10s", 5_410)]
#[case("10s1h", 3_610)]
#[case("1m1m", 120)]
#[case("168h", 604_800)]
#[case("007m", 420)]
fn units_are_added(#[case] text: &str, #[case] seconds: i64) {
    assert_eq!(parse(text), Ok(SignedDuration::from_secs(seconds)));
    assert_eq!(parse_agent_lifetime(text), Ok(SignedDuration::from_secs(seconds)));
}

#[rstest]
#[case("")]
#[case("30")]
#[case("h")]
#[case("1h30")]
#[case("1.5h")]
#[case("-1h")]
#[case("1d")]
#[case("1H")]
#[case("100ms")]
#[case(" 1h")]
#[case("1h ")]
#[case("1 h")]
#[case("１h")]
#[case("Measured")]
fn anything_else_is_refused(#[case] text: &str) {
    assert_eq!(parse(text), Err(DurationError::Syntax(text.to_owned())));
    assert_eq!(parse_agent_lifetime(text), Err(DurationError::AgentLifetimeSyntax(text.to_owned())));
}

#[rstest]
#[case("99999999999999999999s")]
#[case("9223372036854775807h")]
#[case("9223372036854775807s1s")]
fn more_than_64_bits_are_refused(#[case] text: &str) {
    assert_eq!(parse(text), Err(DurationError::TooLong(text.to_owned())));
    assert_eq!(parse_agent_lifetime(text), Err(DurationError::TooLong(text.to_owned())));
}

#[rstest]
#[case("00:30:00", 1_800)]
#[case("0:30:00", 1_800)]
#[case("23:59:59", 86_399)]
#[case("1.00:00:00", 86_400)]
#[case("01.02:03:04", 93_784)]
#[case("7.00:00:00", 604_800)]
#[case("07.00:00:00", 604_800)]
fn days_and_time_are_read_for_agents(#[case] text: &str, #[case] seconds: i64) {
    assert_eq!(parse_agent_lifetime(text), Ok(SignedDuration::from_secs(seconds)));
    assert_eq!(parse(text), Err(DurationError::Syntax(text.to_owned())));
}

#[rstest]
#[case("24:00:00")]
#[case("00:60:00")]
#[case("00:00:60")]
#[case("00:30")]
#[case("00:30:0")]
#[case("00:30:00:00")]
#[case("123.00:00:00")]
#[case(".00:30:00")]
#[case("1.1.00:00:00")]
#[case("+1:00:00")]
fn times_that_do_not_exist_are_refused(#[case] text: &str) {
    assert_eq!(parse_agent_lifetime(text), Err(DurationError::AgentLifetimeSyntax(text.to_owned())));
}

#[rstest]
#[case(0, "0s")]
#[case(59, "59s")]
#[case(60, "1m0s")]
#[case(200, "3m20s")]
#[case(1_800, "30m0s")]
#[case(3_600, "1h0m0s")]
#[case(604_800, "168h0m0s")]
#[case(-90, "-1m30s")]
fn durations_are_written_as_go_does(#[case] seconds: i64, #[case] text: &str) {
    assert_eq!(format(SignedDuration::from_secs(seconds)), text);
}

#[test]
fn what_is_written_is_read_again() {
    for seconds in [0, 1, 61, 3_599, 3_600, 86_399, 604_800] {
        let duration = SignedDuration::from_secs(seconds);
        assert_eq!(parse(&format(duration)), Ok(duration));
    }
}

#[test]
fn parts_of_a_second_are_dropped() {
    assert_eq!(format(SignedDuration::from_millis(200_999)), "3m20s");
}

#[test]
fn errors_say_what_to_write() {
    let error = parse("1.5h").unwrap_err().to_string();
    assert_eq!(
        error,
        "\"1.5h\" is not a duration; write whole hours, minutes and seconds, like 30m or 1h30m"
    );
}
