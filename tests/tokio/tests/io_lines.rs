include!(concat!(env!("OUT_DIR"), "/io_lines.rs"));
