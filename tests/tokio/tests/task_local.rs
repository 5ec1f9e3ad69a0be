include!(concat!(env!("OUT_DIR"), "/task_local.rs"));
