//! Numbers as people read them.

/// With thousands apart: 12,345.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate or other non-negative number, rounded, with thousands apart.
pub(crate) fn rounded(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let rounded = number.round() as u64;
    count(rounded)
}

/// Microseconds with three digits and a unit: 12.3 us, 1.23 ms, 4.56 s.
pub(crate) fn duration(micros: f64) -> String {
    let (value, unit) = match micros {
        _ if micros < 999.5 => (micros, "us"),
        _ if micros < 999_500.0 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    let decimals = match value {
        _ if value >= 99.95 => 0,
        _ if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// Bytes with a binary unit.
pub(crate) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    let value = bytes as f64;
    match value {
        _ if value < 1024.0 => format!("{value:.0} B"),
        _ if value < 1024.0 * 1024.0 => format!("{:.1} KiB", value / 1024.0),
        _ if value < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", value / 1024.0 / 1024.0),
        _ => format!("{:.2} GiB", value / 1024.0 / 1024.0 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [0, 7, 999, 1000, 1_234_567].map(count),
            ["0", "7", "999", "1,000", "1,234,567"]
        );
        assert_eq!(rounded(12_345.6), "12,346");
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let told = [0.0, 1.25, 12.34, 123.4, 999.6, 12_345.0, 999_600.0, 12e6].map(duration);
        let expected =
            ["0.00 us", "1.25 us", "12.3 us", "123 us", "1.00 ms", "12.3 ms", "1.00 s", "12.0 s"];
        assert_eq!(told, expected);
    }

    #[test]
    fn bytes_have_a_binary_unit() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(17 << 20), "17.0 MiB");
        assert_eq!(bytes(3 << 30), "3.00 GiB");
    }
}
