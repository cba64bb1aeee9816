//! A point in time as the log writes it: RFC 3339, UTC, microseconds.
//!
//! Policy has no clock: times come from the launcher.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// Microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The last microsecond of the year 9999: beyond it RFC 3339 has no digits.
const LAST: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// Takes microseconds since 1970; what RFC 3339 cannot write becomes the nearest that it can.
    pub fn from_micros(micros: i64) -> Self {
        Timestamp(micros.clamp(0, LAST))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    fn write(self, out: &mut [u8; 27]) -> &str {
        let (seconds, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        *out = *b"0000-00-00T00:00:00.000000Z";
        let fields = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, second / 3600),
            (14, 2, second / 60 % 60),
            (17, 2, second % 60),
            (20, 6, micros),
        ];
        for (at, width, mut number) in fields {
            for digit in out[at..at + width].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        std::str::from_utf8(out).expect("digits and separators are ASCII")
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    /// Reads what [`Timestamp`] writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, NotATime> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or(NotATime)
        };
        let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
        let time = Timestamp(seconds * 1_000_000 + number(20, 26)?);
        // Writing it again checks the separators, the length, and that there is such a day.
        if (0..=LAST).contains(&time.0) && time.to_string() == text { Ok(time) } else { Err(NotATime) }
    }
}

/// Text that is no time of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATime;

impl fmt::Display for NotATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time as `1970-01-01T00:00:00.000000Z`")
    }
}

impl std::error::Error for NotATime {}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        // Before 1970 is a clock that was never set.
        let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(LAST))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; 27]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; 27]))
    }
}

/// The date of a day counted from 1970, in the Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last: within such a year the months have
/// 153 days in every five, and within 400 years (146,097 days) the leap rule has run its course.
fn civil(days: i64) -> (i64, i64, i64) {
    // From 1 March 0000.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day of a date, counted from 1970: `civil` the other way round.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, shifted) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * shifted + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
            (1_764_000_245_123_456, "2025-11-24T16:04:05.123456Z"),
            (4_107_542_399_000_001, "2100-02-28T23:59:59.000001Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
            (-5, "1970-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), expected);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for micros in (0..LAST).step_by(7_919_000_000_123).chain([0, LAST]) {
            let time = Timestamp(micros);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for text in [
            "",
            "2026-02-30T00:00:00.000000Z",
            "2026-01-01 00:00:00.000000Z",
            "1969-12-31T00:00:00.000000Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T24:00:00.000000Z",
            "+026-01-01T00:00:00.000000Z",
            "\u{e9}\u{e9}\u{e9}",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
    }
}
