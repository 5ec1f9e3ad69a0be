//! Text that tables and plots share: numbers, titles of rows, the order of contestants.

use crate::contestants::{EXPLAINED, FLOOR, RUNTIMES, SERVERS, TOKIO, UDP_SERVERS};
use crate::record::Row;

/// Returns the names of all contestants in display order.
pub(crate) fn known() -> Vec<&'static str> {
    let mut names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
    // A runtime is listed next to its server; tokio has the same name in both lists.
    let own = names.iter().position(|name| *name == TOKIO).unwrap_or(0);
    names.insert(own, RUNTIMES[0].name);
    let runtimes = RUNTIMES.iter().chain(&EXPLAINED);
    let runtimes = runtimes.map(|runtime| runtime.name);
    for name in runtimes.chain(UDP_SERVERS.iter().map(|server| server.name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    debug_assert_eq!(names[0], FLOOR);
    names
}

/// Returns the title of a row.
pub(crate) fn label(row: &Row) -> String {
    if row.x == 0.0 {
        row.case.clone()
    } else {
        format!("{}: {}", row.case, number(row.x))
    }
}

/// Formats a number with three digits or all integer digits: `0.123`, `1.23`, `12.3`, `123`, `12,345`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size < 100.0 && value.fract() != 0.0 {
        let digits = if size < 1.0 {
            3
        } else {
            2 - usize::from(size >= 10.0)
        };
        return format!("{value:.digits$}");
    }
    let whole = format!("{:.0}", size);
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        grouped.insert(0, '-');
    }
    grouped
}

/// Formats a number of clients: `1 client`, `5,000 clients`.
pub(crate) fn clients(count: f64) -> String {
    let plural = if count == 1.0 { "" } else { "s" };
    format!("{} client{plural}", number(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_digits_or_all_of_its_integer_digits() {
        let shown = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (1.0, "1"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.0, "1,234"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
        ];
        for (value, text) in shown {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn every_contestant_is_listed_once() {
        let names = known();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(names.iter().position(|other| other == name), Some(place));
        }
    }
}
