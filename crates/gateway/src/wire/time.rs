//! The contract's three forms of a timestamp (0.3): the same instant, another ending.

use jiff::tz::TimeZone;
use steadyhand_core::time::Timestamp;

/// `2026-01-02T03:04:05.123456`, the fraction left out when zero.
#[must_use]
pub fn bare(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let t = TimeZone::UTC.to_datetime(instant);
    let (date, time) = (t.date(), t.time());
    let mut out = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let micros = time.subsec_nanosecond() / 1_000;
    if micros != 0 {
        out.push_str(&format!(".{micros:06}"));
    }
    out
}

/// [`bare`] with `Z`.
#[must_use]
pub fn zulu(at: Timestamp) -> String {
    bare(at) + "Z"
}

/// [`bare`] with `+00:00`.
#[must_use]
pub fn offset(at: Timestamp) -> String {
    bare(at) + "+00:00"
}

/// Reads an instant from a query: RFC 3339, or seconds since the Unix epoch.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        let micros = seconds * 1e6;
        return (micros.is_finite() && micros.abs() < 9e15).then_some(Timestamp(micros as i64));
    }
    let with_zone = if text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|t| t.contains(['+', '-'])) {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    with_zone.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_the_contract() {
        let at = Timestamp(1_767_323_045_123_456);
        assert_eq!(bare(at), "2026-01-02T03:04:05.123456");
        assert_eq!(zulu(at), "2026-01-02T03:04:05.123456Z");
        assert_eq!(offset(at), "2026-01-02T03:04:05.123456+00:00");
        assert_eq!(zulu(Timestamp(1_767_323_045_000_000)), "2026-01-02T03:04:05Z");
        assert_eq!(zulu(Timestamp(1_767_323_045_000_010)), "2026-01-02T03:04:05.000010Z");
    }

    #[test]
    fn reads_back_every_form_and_unix_seconds() {
        let at = Timestamp(1_767_323_045_123_456);
        for text in [bare(at), zulu(at), offset(at), "1767323045.123456".to_owned()] {
            assert_eq!(parse(&text), Some(at), "{text}");
        }
        for text in ["", "yesterday", "NaN", "1e300", "2026-13-01"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
