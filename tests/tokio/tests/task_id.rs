include!(concat!(env!("OUT_DIR"), "/task_id.rs"));
