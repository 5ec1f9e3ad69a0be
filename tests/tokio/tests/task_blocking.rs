include!(concat!(env!("OUT_DIR"), "/task_blocking.rs"));
