//! Durations, numbers, names and places in words, for all outputs.

use std::fmt::Write;

/// Returns a duration of nanoseconds with three digits: `12.3 ms`.
pub fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s")];
    let Some((unit, name)) = UNITS.iter().rev().find(|(unit, _)| ns >= *unit) else {
        return format!("{ns} ns");
    };
    let whole = ns / unit;
    let figure = ns as f64 / *unit as f64;
    match whole {
        0..10 => format!("{figure:.2} {name}"),
        10..100 => format!("{figure:.1} {name}"),
        _ => format!("{} {name}", grouped(whole)),
    }
}

/// Returns a moment as seconds with nine digits: `+1.000234000`.
pub fn moment(ns: u64) -> String {
    format!("+{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// Returns a number with commas between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things: `1 task`, `1,000 tasks`.
pub fn counted(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", grouped(number as u64))
}

/// Returns a text without characters that control a terminal.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        // The marks of direction change the order of what follows them.
        let direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || direction {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Returns a location as file name and line: `echo.rs:12`, from `net/src/echo.rs:12:9`.
pub fn short_place(place: &str) -> String {
    let mut parts = place.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    let short = match file {
        Some(file) if is_number(column) && is_number(line) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            format!("{name}:{}", line.unwrap_or_default())
        }
        _ => place.to_owned(),
    };
    clean(&short)
}

/// Writes a text as a string of JSON, with `<` escaped so that the text can be part of a page.
pub fn json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '<' | '\u{2028}' | '\u{2029}' | '\u{7f}' | '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", c as u32).ok();
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Returns a text with the characters escaped that mean something in XML.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            _ => out.push(c),
        }
    }
    out
}
