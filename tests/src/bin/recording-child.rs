//! Records itself into the file of its first argument, and hangs in a poll until it is killed. With the second argument
//! `busy` it ends instead, after 100,000 events of 300 tasks, of which one has blocked the others for 40 ms.

use std::env;
use std::thread;
use std::time::Duration;

use wakeful::runtime::Builder;
use wakeful::task;
use wakeful::time::sleep;
use wakeful::trace::{self, Recording};

fn main() {
    let path = env::args_os().nth(1).expect("the path of the recording");
    let is_busy = env::args_os().nth(2).is_some_and(|mode| mode == "busy");
    let events = if is_busy { 1 << 17 } else { 1 << 8 };
    let recording = Recording::new().events(events).file(path);
    let runtime = Builder::new().record(recording).build();
    let runtime = runtime.expect("a runtime");
    if is_busy {
        return runtime.block_on(busy());
    }
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

async fn busy() {
    let mut tasks = Vec::new();
    for n in 0..300_u64 {
        tasks.push(wakeful::spawn(async move {
            for round in 0..56 {
                let pause = 500 + (n * 7_919 + round * 104_729) % 4_000;
                sleep(Duration::from_micros(pause)).await;
            }
        }));
        if n == 150 {
            let slow = task::Builder::new().name("import").spawn(async {
                sleep(Duration::from_millis(70)).await;
                thread::sleep(Duration::from_millis(40)); // blocks the loop
                sleep(Duration::from_millis(5)).await;
            });
            tasks.push(slow.expect("a task"));
        }
    }
    for task in tasks {
        task.await.expect("no panic");
    }
}
