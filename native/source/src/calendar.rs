//! The three spellings of a moment that S3 uses. Civil-date arithmetic after Howard Hinnant, "chrono-compatible
//! low-level date algorithms" (days from the era of 400 years that starts on 0000-03-01).

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_SECONDS: i64 = 86_400;

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 IMF-fixdate) as seconds since 1970.
pub(crate) fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = number(words.next()?, 1..=31)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let year = number(words.next()?, 1..=9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 0..=23)?;
    let minute = number(clock.next()?, 0..=59)?;
    let second = number(clock.next()?, 0..=60)?;
    if clock.next().is_some() || words.next() != Some("GMT") || words.next().is_some() {
        return None;
    }
    Some(days_from_civil(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second)
}

/// `2026-01-05T06:07:08.123Z` as milliseconds since 1970. The fraction may be missing; what is beyond a thousandth is
/// cut.
pub(crate) fn parse_iso_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (moment, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let bytes = moment.as_bytes();
    let is_plain = bytes.len() == 19 && [4, 7, 10, 13, 16].map(|at| bytes[at]) == *b"--T::";
    is_plain.then_some(())?;
    let part = |from: usize, to: usize, range| number(moment.get(from..to)?, range);
    let (year, month, day) = (part(0, 4, 0..=9999)?, part(5, 7, 1..=12)?, part(8, 10, 1..=31)?);
    let (hour, minute, second) =
        (part(11, 13, 0..=23)?, part(14, 16, 0..=59)?, part(17, 19, 0..=59)?);
    let days = days_from_civil(year, month, day);
    let is_day = civil_from_days(days) == (year, month, day);
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    (is_day && is_fraction).then_some(())?;
    let thousandths = fraction.bytes().chain(*b"00").take(3);
    let thousandths = thousandths.fold(0, |number, digit| 10 * number + i64::from(digit - b'0'));
    Some((days * DAY_SECONDS + hour * 3600 + minute * 60 + second) * 1000 + thousandths)
}

fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    if text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|value| range.contains(value))
}

/// `20130524T000000Z`, as `x-amz-date` wants it, for the years 1970 to 9999.
pub(crate) fn amz_date(seconds: u64) -> String {
    let seconds = seconds.min(253_402_300_799) as i64;
    let (year, month, day) = civil_from_days(seconds / DAY_SECONDS);
    let rest = seconds % DAY_SECONDS;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_date_of_rfc_9110() {
        assert_eq!(parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_http_date(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_http_date(b"Thu, 29 Feb 2024 23:59:60 GMT"), Some(1_709_251_200));
    }

    #[test]
    fn reads_the_date_of_a_list() {
        assert_eq!(parse_iso_date(b"1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_iso_date(b"1994-11-06T08:49:37.5Z"), Some(784_111_777_500));
        assert_eq!(parse_iso_date(b"2024-02-29T23:59:59.1239Z"), Some(1_709_251_199_123));
        for text in [
            "2024-02-30T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00:00.Z",
            "Z",
        ] {
            assert_eq!(parse_iso_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in ["", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 6 Foo 1994 08:49:37 GMT"] {
            assert_eq!(parse_http_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_http_date(b"Sun, 06 Nov 99999999999 08:49:37 GMT"), None);
        assert_eq!(parse_http_date(b"Sun, -6 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(parse_http_date(&[0xff, 0xfe]), None);
    }

    #[test]
    fn writes_the_date_of_the_signing_examples() {
        assert_eq!(amz_date(1_369_353_600), "20130524T000000Z");
        assert_eq!(amz_date(1_709_251_199), "20240229T235959Z");
        assert_eq!(amz_date(u64::MAX), "99991231T235959Z");
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-719_162..2_932_896).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
