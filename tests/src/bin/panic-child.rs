//! A task that panics while another waits for it. With `panic = "abort"` the process ends with the message
//! of the panic; otherwise the join returns an error, and the exit status is 0. `.ci/run abort` builds it.

fn main() {
    let joined = wakeful::block_on(async { wakeful::spawn(async { panic!("on purpose") }).await });
    assert!(joined.is_err_and(|error| error.is_panic()));
}
