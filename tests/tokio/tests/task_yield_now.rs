include!(concat!(env!("OUT_DIR"), "/task_yield_now.rs"));
