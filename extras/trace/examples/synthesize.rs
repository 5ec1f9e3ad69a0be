//! Writes a recording that no runtime has made, for tests of the page: `synthesize KIND EVENTS OUT.wtr`.

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, kind, events, out] = &arguments[..] else {
        return Err("usage: synthesize small|server|hostile EVENTS OUT.wtr".into());
    };
    let recorder = match kind.as_str() {
        "small" => common::small(),
        "server" => common::server(events.parse()?),
        "hostile" => common::hostile(),
        _ => return Err("known kinds are small, server and hostile".into()),
    };
    std::fs::write(out, recorder.bytes())?;
    Ok(())
}
