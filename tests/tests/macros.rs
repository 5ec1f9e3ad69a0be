//! `main!` and `test!`: this file consists of what they expand to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::ExitCode;

use wakeful::runtime::Builder;
use wakeful::spawn;
use wakeful::time::{Instant, sleep};
use wakeful_tests::trace::secs;

wakeful::test! {
    async fn a_test_runs_inside_a_runtime() {
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
    }

    /// With a documentation, and an error that would fail it.
    async fn a_test_may_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
        let number: i32 = "7".parse()?;
        assert_eq!(spawn(async move { number }).await?, 7);
        Ok(())
    }

    #[should_panic(expected = "on purpose")]
    async fn a_test_may_have_attributes() {
        sleep(secs(0)).await;
        panic!("on purpose");
    }
}

wakeful::test! {
    in Builder::new().start_paused(true);

    async fn a_test_may_choose_its_runtime() {
        let start = Instant::now();
        sleep(secs(3_600)).await;
        assert_eq!(start.elapsed(), secs(3_600));
    }

    async fn and_so_does_the_next_one_of_the_block() {
        sleep(secs(3_600)).await;
    }
}

wakeful::test! {}

mod unit {
    wakeful::main! {
        async fn main() {
            super::sleep(super::secs(0)).await;
        }
    }

    #[test]
    fn a_main_may_return_nothing() {
        main();
    }
}

mod result {
    wakeful::main! {
        #[inline(never)]
        async fn main() -> std::io::Result<()> {
            wakeful::spawn(async {}).await?;
            Err(std::io::ErrorKind::AddrInUse.into())
        }
    }

    #[test]
    fn a_main_may_return_a_result() {
        assert_eq!(main().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }
}

mod code {
    use super::{Builder, ExitCode};

    wakeful::main! {
        in Builder::new().io_budget(1);

        async fn main() -> ExitCode {
            wakeful::task::yield_now().await;
            ExitCode::from(3)
        }
    }

    #[test]
    fn a_main_may_return_a_code_and_choose_its_runtime() {
        assert_eq!(format!("{:?}", main()), format!("{:?}", ExitCode::from(3)));
    }
}
