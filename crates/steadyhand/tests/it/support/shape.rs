//! The forms of identifiers and times on the wire (contract 0.2, 0.3).

use serde_json::Value;

/// Whether it is `prefix` and so many lower-case hexadecimal digits.
pub(crate) fn is_id(value: &Value, prefix: &str, digits: usize) -> bool {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let rest = value.as_str().and_then(|text| text.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.len() == digits && rest.bytes().all(hex))
}

/// Whether it is UTC to the microsecond at most, with this zone suffix (`Z`, `+00:00` or none).
pub(crate) fn is_time(value: &Value, suffix: &str) -> bool {
    let Some(text) = value.as_str().and_then(|text| text.strip_suffix(suffix)) else { return false };
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    // `9` stands for any digit.
    let whole_fits = whole.len() == 19
        && whole.bytes().zip(*b"9999-99-99T99:99:99").all(|(c, form)| match form {
            b'9' => c.is_ascii_digit(),
            _ => c == form,
        });
    let zero = |f: &str| f.bytes().all(|c| c == b'0');
    let fraction_fits =
        fraction.is_none_or(|f| f.len() == 6 && f.bytes().all(|c| c.is_ascii_digit()) && !zero(f));
    whole_fits && fraction_fits
}
