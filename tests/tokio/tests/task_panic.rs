include!(concat!(env!("OUT_DIR"), "/task_panic.rs"));
