include!(concat!(env!("OUT_DIR"), "/sync_once_cell.rs"));
