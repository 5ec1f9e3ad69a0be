//! A recording as one HTML page with script, style and data inside.
//!
//! The policy in the page forbids every request, and every script and style but these two, which it names by
//! their hash. The data is the [`Model`] as columns of numbers in base64, and the texts as JSON. Texts enter
//! the page as text only: the script has no place where one becomes markup.

use crate::model::{CAUSES, Index, Model};
use crate::read::Trace;
use crate::words::{counted, json, xml};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: [&str; 3] = [
    include_str!("html/data.js"),
    include_str!("html/draw.js"),
    include_str!("html/app.js"),
];

/// Hashes of the style and the script, for the policy. A unit test compares them.
const STYLE_HASH: &str = "sha256-3uN25PAqRWyQvj3gJufT8+g0tvEKiKT9+SQhru8+45k=";
const SCRIPT_HASH: &str = "sha256-MiYgvHiuy+TATeTHvbXaPJf/hzd/rtz3YAnRZ5V36/0=";

/// Returns the recording as a page.
pub fn render(trace: &Trace, model: &Model) -> String {
    let title = xml(&trace.headline());
    let mut columns = Columns::default();
    columns.fill(trace, model);
    let meta = meta(trace, model, &columns);
    let data = base64(&columns.bytes);
    let mut page = String::with_capacity(PAGE.len() + data.len() + meta.len() + (96 << 10));
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        match name {
            "SCRIPT_HASH" => page.push_str(SCRIPT_HASH),
            "STYLE_HASH" => page.push_str(STYLE_HASH),
            "TITLE" => page.push_str(&title),
            "STYLE" => page.push_str(STYLE),
            "SCRIPT" => page.extend(SCRIPT),
            "META" => page.push_str(&meta),
            _ => page.push_str(&data),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Returns texts and facts as JSON.
fn meta(trace: &Trace, model: &Model, columns: &Columns) -> String {
    let mut out = format!(
        "{{\"begin\":{},\"end\":{},\"events\":{},\"overwritten\":{},\"ended\":{},\"facts\":",
        model.begin,
        model.end,
        trace.events.len(),
        trace.overwritten(),
        trace.ended,
    );
    let mut facts = counted(trace.events.len(), "event");
    if trace.runtimes.len() > 1 {
        facts.push_str(" of ");
        facts.push_str(&counted(trace.runtimes.len(), "runtime"));
    }
    if trace.overwritten() > 0 {
        let overwritten = counted(trace.overwritten() as usize, "older one");
        facts.push_str(&format!(", {overwritten} overwritten"));
    }
    json(&mut out, &facts);
    list(&mut out, "causes", CAUSES.iter().copied());
    list(
        &mut out,
        "warnings",
        trace.warnings.iter().map(String::as_str),
    );
    list(&mut out, "texts", trace.texts.iter().map(String::as_str));
    list(
        &mut out,
        "groups",
        model.groups.iter().map(|group| group.name.as_str()),
    );
    list(
        &mut out,
        "notes",
        trace.notes.iter().map(|note| note.text.as_str()),
    );
    out.push_str(",\"peers\":[");
    let mut peers: Vec<_> = model.peers.iter().collect();
    peers.sort_unstable();
    let peers: Vec<String> = peers
        .iter()
        .map(|((runtime, fd), text)| format!("[{runtime},{fd},{text}]"))
        .collect();
    out.push_str(&peers.join(","));
    out.push_str("],\"columns\":{");
    out.push_str(&columns.index.join(","));
    out.push_str("}}");
    out
}

fn list<'a>(out: &mut String, name: &str, texts: impl Iterator<Item = &'a str>) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":[");
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        json(out, text);
    }
    out.push(']');
}

/// Columns of numbers, one after another, each at a multiple of eight bytes.
#[derive(Default)]
struct Columns {
    bytes: Vec<u8>,
    /// Member of the JSON object: name, type, offset, length.
    index: Vec<String>,
}

/// An index that can be absent: 0 is "none".
fn optional(index: Option<Index>) -> u32 {
    index.map_or(0, |index| index as u32 + 1)
}

impl Columns {
    fn f64(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        self.add(name, "f64", 8, values.map(|v| (v as f64).to_le_bytes()));
    }

    /// Times of ends: -1 if there is none.
    fn ends(&mut self, name: &str, values: impl Iterator<Item = Option<u64>>) {
        let ends = values.map(|end| end.map_or(-1.0, |end| end as f64).to_le_bytes());
        self.add(name, "f64", 8, ends);
    }

    fn u32(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        self.add(name, "u32", 4, values.map(u32::to_le_bytes));
    }

    fn u8(&mut self, name: &str, values: impl Iterator<Item = u8>) {
        self.add(name, "u8", 1, values.map(|value| [value]));
    }

    fn add<const N: usize>(
        &mut self,
        name: &str,
        kind: &str,
        size: usize,
        values: impl Iterator<Item = [u8; N]>,
    ) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let offset = self.bytes.len();
        for value in values {
            self.bytes.extend_from_slice(&value);
        }
        let length = (self.bytes.len() - offset) / size;
        self.index
            .push(format!("\"{name}\":[\"{kind}\",{offset},{length}]"));
    }

    fn fill(&mut self, trace: &Trace, model: &Model) {
        self.runtimes(trace, model);
        self.tasks(model);
        self.polls(model);
        let wakes = &model.wakes;
        self.f64("wake.time", wakes.iter().map(|w| w.time));
        self.u32("wake.woken", wakes.iter().map(|w| w.woken as u32));
        self.u32("wake.by", wakes.iter().map(|w| optional(w.by)));
        self.u32("wake.from", wakes.iter().map(|w| optional(w.from_poll)));
        self.u32("wake.to", wakes.iter().map(|w| optional(w.to_poll)));
        let turns = &model.turns;
        self.u32("turn.runtime", turns.iter().map(|t| t.runtime as u32));
        self.f64("turn.begin", turns.iter().map(|t| t.begin));
        self.f64("turn.end", turns.iter().map(|t| t.end));
        self.u32("turn.events", turns.iter().map(|t| t.events.unwrap_or(0)));
        self.u32("turn.limit", turns.iter().map(|t| t.limit));
        let instants = &model.instants;
        self.u32("instant.runtime", instants.iter().map(|i| i.runtime as u32));
        self.f64("instant.time", instants.iter().map(|i| i.time));
        self.u32("instant.task", instants.iter().map(|i| optional(i.task)));
        self.u8("instant.kind", instants.iter().map(|i| i.kind));
        self.u8("instant.a", instants.iter().map(|i| i.a));
        self.u32("instant.x", instants.iter().map(|i| i.x));
        self.u32("instant.y", instants.iter().map(|i| i.y));
        let spans = &model.spans;
        self.u32("span.task", spans.iter().map(|s| s.task as u32));
        self.u32("span.name", spans.iter().map(|s| s.name));
        self.f64("span.begin", spans.iter().map(|s| s.begin));
        self.ends("span.end", spans.iter().map(|s| s.end));
        let closures = &model.closures;
        self.u32("closure.runtime", closures.iter().map(|c| c.runtime as u32));
        self.u32("closure.number", closures.iter().map(|c| c.number));
        self.u32("closure.task", closures.iter().map(|c| optional(c.task)));
        self.f64("closure.begin", closures.iter().map(|c| c.begin));
        self.ends("closure.end", closures.iter().map(|c| c.end));
    }

    fn runtimes(&mut self, trace: &Trace, model: &Model) {
        let group_of = model.group_of.iter().map(|group| *group as u32);
        self.u32("runtime.group", group_of);
        self.f64("runtime.end", model.ends.iter().copied());
        let notes = &trace.notes;
        let named = |name: &str| model.groups.iter().position(|group| group.name == name);
        let groups = notes.iter().map(|n| named(&n.name).unwrap_or(0) as u32);
        self.u32("note.group", groups);
        self.f64("note.begin", notes.iter().map(|n| n.begin));
        self.f64("note.end", notes.iter().map(|n| n.end));
    }

    fn tasks(&mut self, model: &Model) {
        let tasks = &model.tasks;
        self.u32("task.runtime", tasks.iter().map(|t| t.runtime as u32));
        self.u32("task.row", tasks.iter().map(|t| t.row));
        self.u8("task.generation", tasks.iter().map(|t| t.generation));
        self.u32("task.name", tasks.iter().map(|t| t.name));
        self.u32("task.place", tasks.iter().map(|t| t.place));
        self.f64("task.begin", tasks.iter().map(|t| t.begin));
        self.ends("task.end", tasks.iter().map(|t| t.end.map(|end| end.0)));
        self.u8(
            "task.outcome",
            tasks.iter().map(|t| t.end.map_or(0, |end| end.1 as u8)),
        );
        self.f64("task.polls", tasks.iter().map(|t| t.polls));
        self.f64("task.busy", tasks.iter().map(|t| t.busy));
        self.u32("task.longest", tasks.iter().map(|t| optional(t.longest)));
        self.u32("task.last", tasks.iter().map(|t| optional(t.last_poll)));
    }

    fn polls(&mut self, model: &Model) {
        let polls = &model.polls;
        let cause = |kind: u8, value: u32| u32::from(kind) << 24 | value;
        self.u32("poll.task", polls.iter().map(|p| p.task as u32));
        self.f64("poll.begin", polls.iter().map(|p| p.begin));
        self.f64("poll.end", polls.iter().map(|p| p.end));
        self.u32(
            "poll.cause",
            polls.iter().map(|p| cause(p.cause.kind, p.cause.value)),
        );
        self.u8("poll.outcome", polls.iter().map(|p| p.outcome as u8));
        self.u32("poll.wait", polls.iter().map(|p| optional(p.wait)));
        self.u32("poll.wake", polls.iter().map(|p| optional(p.wake)));
        let waits = &model.waits;
        self.u32("wait.task", waits.iter().map(|w| w.task as u32));
        self.f64("wait.begin", waits.iter().map(|w| w.begin));
        self.ends("wait.end", waits.iter().map(|w| w.end));
        self.u32("wait.operation", waits.iter().map(|w| w.operation));
        self.u32("wait.place", waits.iter().map(|w| w.place));
        self.u8("wait.what", waits.iter().map(|w| w.on.what));
        self.u32("wait.value", waits.iter().map(|w| w.on.value));
    }
}

/// Returns bytes in base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit) & 63) as usize;
            let present = digit <= chunk.len();
            text.push(if present { DIGITS[value].into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_hashes_of_style_and_script() {
        let hash = |text: &str| format!("sha256-{}", STANDARD.encode(Sha256::digest(text)));
        assert_eq!(STYLE_HASH, hash(STYLE), "write this into html.rs");
        assert_eq!(
            SCRIPT_HASH,
            hash(&SCRIPT.concat()),
            "write this into html.rs"
        );
    }

    #[test]
    fn base64_is_that_of_the_crate() {
        for size in 0..70 {
            let bytes: Vec<u8> = (0..size).map(|n: u8| n.wrapping_mul(151)).collect();
            assert_eq!(base64(&bytes), STANDARD.encode(&bytes));
        }
    }
}
