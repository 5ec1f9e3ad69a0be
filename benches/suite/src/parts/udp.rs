//! Part `udp`: datagrams, one by one and in segments.

use crate::bench::{Bench, Collected};
use crate::contestants::UDP_SERVERS;
use crate::parts::echo;

/// Clients and their datagrams.
#[derive(Clone, Copy)]
struct Cell {
    size: u32,
    /// Datagrams in flight per client.
    window: u32,
    /// Whether clients send and receive a window with one call.
    segments: bool,
}

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "Each client sends a window of datagrams of one size, and the next window when all have come \
         back: 50 clients with a window of 1, and 2 clients with a window of 32, so that the kernel's \
         buffers hold what is in flight. \"In segments\": a client sends a window with one call \
         (`UDP_SEGMENT`) and receives several datagrams with one call (`UDP_GRO`). `raw loop` makes \
         blocking calls for one datagram each; `raw loop, segments` and `wakeful echo-server` answer \
         with one call what arrived together.",
    );
    let cells: Vec<Cell> = [64, 1200]
        .into_iter()
        .flat_map(|size| {
            [(1, false), (32, false), (32, true)].map(|(window, segments)| Cell {
                size,
                window,
                segments,
            })
        })
        .collect();
    let contestants = bench.selected(&UDP_SERVERS);
    bench.side_by_side(
        bench.runs("udp", 3, |_: &_| 10.0),
        &cells,
        &contestants,
        collected,
        |cell, one| bench.start_benchmark(one, &cell.load()),
        |cell, _, answer, recorder| echo::read(recorder, &cell.title(), 0.0, answer),
    );
}

impl Cell {
    fn load(self) -> String {
        let Cell { size, window, .. } = self;
        let clients = if window == 1 { 50 } else { 2 };
        let segments = if self.segments { " --segments" } else { "" };
        format!(
            "udp --clients {clients} --size {size} --window {window}{segments} --millis 10 --warm-up 3"
        )
    }

    fn title(self) -> String {
        let Cell { size, window, .. } = self;
        let segments = if self.segments { " in segments" } else { "" };
        format!("{size} B, {window} at once{segments}")
    }
}
