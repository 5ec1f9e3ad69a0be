//! Two tasks that take two locks in opposite orders.

use std::rc::Rc;

use async_lock::Mutex;
use wakeful::task::{Builder, yield_now};
use wakeful_sim::Sim;

struct Bank {
    savings: Mutex<i64>,
    current: Mutex<i64>,
}

async fn transfer(bank: Rc<Bank>, amount: i64) {
    let mut savings = bank.savings.lock().await;
    yield_now().await; // such as a query
    let mut current = bank.current.lock().await;
    *savings -= amount;
    *current += amount;
}

async fn audit(bank: Rc<Bank>) -> i64 {
    yield_now().await;
    let current = bank.current.lock().await;
    yield_now().await;
    let savings = bank.savings.lock().await;
    *savings + *current
}

async fn audit_in_order(bank: Rc<Bank>) -> i64 {
    yield_now().await;
    let savings = bank.savings.lock().await;
    yield_now().await;
    let current = bank.current.lock().await;
    *savings + *current
}

fn open() -> Rc<Bank> {
    Rc::new(Bank {
        savings: Mutex::new(100),
        current: Mutex::new(0),
    })
}

wakeful_sim::test! {
    seeds = 500;
    #[should_panic(expected = "deadlock")]
    async fn transfers_never_hang(_sim: Sim) {
        let bank = open();
        let transfer = transfer(Rc::clone(&bank), 30);
        let transfer = Builder::new().name("transfer").spawn(transfer).unwrap();
        let audit = Builder::new().name("audit").spawn(audit(bank)).unwrap();
        transfer.await.unwrap();
        assert_eq!(audit.await.unwrap(), 100);
    }
}

wakeful_sim::test! {
    seeds = 500;
    async fn transfers_never_hang_with_one_order(_sim: Sim) {
        let bank = open();
        let transfer = transfer(Rc::clone(&bank), 30);
        let transfer = Builder::new().name("transfer").spawn(transfer).unwrap();
        let audit = Builder::new().name("audit").spawn(audit_in_order(bank)).unwrap();
        transfer.await.unwrap();
        assert_eq!(audit.await.unwrap(), 100);
    }
}
