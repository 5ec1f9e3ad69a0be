//! The child process of the tests of the watch thread (`tests/watch.rs`). The argument is the name of what it does.
//! Each blocks its loop until a byte comes from standard input.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Read;
use std::thread;
use std::time::Duration;

use wakeful::dump;
use wakeful::runtime::Builder;
use wakeful::signal::unix::SignalKind;
use wakeful::task;
use wakeful_tests::trace::settle;

fn main() {
    // A report that does not come fails the test.
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(60));
        std::process::exit(9);
    });
    let name = std::env::args().nth(1).unwrap_or_default();
    // In the other cases no stall is reported, but the signal is answered after a second.
    let limit = match &*name {
        "stuck" => Duration::from_secs(1),
        "signal" | "signal-between" => Duration::from_secs(3600),
        other => panic!("{other:?} is not known"),
    };
    let runtime = Builder::new().watch(limit).build().unwrap();
    let dumps = runtime.block_on(async {
        let dumps = dump::on_signal(SignalKind::user_defined1()).unwrap();
        let dumps = task::Builder::new().name("dumps").spawn(dumps).unwrap();
        settle().await;
        dumps.abort_handle()
    });
    if name == "signal-between" {
        block();
        runtime.block_on(settle());
        dumps.abort();
        return println!("ended");
    }
    runtime.block_on(async {
        let import = task::Builder::new().name("import").spawn(async { block() });
        import.unwrap().await.unwrap();
        settle().await;
        dumps.abort();
    });
    println!("ended");
}

/// Blocks the thread.
fn block() {
    println!("ready");
    std::io::stdin().read_exact(&mut [0]).unwrap();
}
