include!(concat!(env!("OUT_DIR"), "/task_abort.rs"));
