//! Numbers with a meaning: seconds, counts, bytes.

/// Seconds, whole or with a fraction, as milliseconds.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.parse().ok()?;
    // A century; beyond it the sum with a clock could overflow.
    (seconds > 0.0 && seconds <= 3.2e9).then(|| ((seconds * 1000.0).round() as u64).max(1))
}

/// A whole number above 0.
pub(crate) fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

/// `512`, `512K`, `512KiB` (powers of 1024), `512KB` (powers of 1000).
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.chars().next() {
        None => 0,
        Some('b') if unit == "b" => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some(_) => return None,
    };
    let base: u64 = match unit.get(1..).unwrap_or("") {
        "" | "ib" => 1024,
        "b" => 1000,
        _ => return None,
    };
    let factor = base.checked_pow(power)?;
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor).filter(|size| *size > 0),
        Err(_) if power > 0 => {
            let size = number.parse::<f64>().ok()? * factor as f64;
            (1.0..9e18).contains(&size).then_some(size as u64)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("512", Some(512)),
            ("512B", Some(512)),
            ("1k", Some(1024)),
            ("512MiB", Some(512 << 20)),
            ("2 GB", Some(2_000_000_000)),
            ("1.5G", Some(3 << 29)),
            ("0", None),
            ("-1", None),
            ("", None),
            ("12 parsecs", None),
            ("99999999999T", None),
            ("1.5", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        for (text, expected) in [
            ("120", Some(120_000)),
            ("0.5", Some(500)),
            ("1e3", Some(1_000_000)),
            ("0.0001", Some(1)),
            ("0", None),
            ("-3", None),
            ("inf", None),
            ("NaN", None),
            ("1e300", None),
            ("soon", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
