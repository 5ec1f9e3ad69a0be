//! Writes a recording that no runtime has made, for tests of the page: `synthesize KIND EVENTS OUT.wtr`. Of `hosts`,
//! which is a merged trace, it writes the page, or what the ending of OUT says.

#[path = "../tests/common/mod.rs"]
mod common;

use wakeful_trace::Format;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, kind, events, out] = &arguments[..] else {
        return Err("usage: synthesize small|server|hostile|hosts EVENTS OUT".into());
    };
    if kind == "hosts" {
        let format = Format::of_path(out.as_ref())?;
        std::fs::write(out, format.render(&common::hosts::hosts()))?;
        return Ok(());
    }
    let recorder = match kind.as_str() {
        "small" => common::small(),
        "server" => common::server(events.parse()?),
        "hostile" => common::hostile(),
        _ => return Err("known kinds are small, server, hostile and hosts".into()),
    };
    std::fs::write(out, recorder.bytes())?;
    Ok(())
}
