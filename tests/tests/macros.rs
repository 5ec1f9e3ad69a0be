//! `main!` and `test!`: this file consists of their expansions.

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

    /// With documentation, and with an error that would fail the test.
    async fn a_test_can_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
        let number: i32 = "7".parse()?;
        assert_eq!(spawn(async move { number }).await?, 7);
        Ok(())
    }

    #[should_panic(expected = "on purpose")]
    async fn a_test_can_have_attributes() {
        sleep(secs(0)).await;
        panic!("on purpose");
    }
}

wakeful::test! {
    in Builder::new().start_paused(true);

    async fn a_test_can_configure_its_runtime() {
        let start = Instant::now();
        sleep(secs(3_600)).await;
        assert_eq!(start.elapsed(), secs(3_600));
    }

    async fn every_test_of_a_block_has_the_configured_runtime() {
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
    fn a_main_can_return_nothing() {
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
    fn a_main_can_return_a_result() {
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
    fn a_main_can_return_an_exit_code_and_configure_its_runtime() {
        assert_eq!(format!("{:?}", main()), format!("{:?}", ExitCode::from(3)));
    }
}
