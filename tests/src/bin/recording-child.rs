//! Records itself into the file of its first argument, and hangs in a poll until it is killed.

use std::env;
use std::thread;
use std::time::Duration;

use wakeful::runtime::Builder;
use wakeful::trace::{self, Recording};

fn main() {
    let path = env::args_os().nth(1).expect("the path of the recording");
    let recording = Recording::new().events(1 << 8).file(path);
    let runtime = Builder::new().record(recording).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        for _ in 0..100 {
            wakeful::task::yield_now().await;
        }
        let hangs = wakeful::task::Builder::new().name("import").spawn(async {
            trace::mark("last words");
            println!("ready");
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        });
        hangs.expect("a task").await.expect("no panic")
    });
}
