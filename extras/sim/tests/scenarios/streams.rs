//! Bytes, their end, and the wakers of those that wait for them.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use wakeful::io::duplex;
use wakeful::task::consume_budget;
use wakeful::time::{sleep, timeout};
use wakeful_net::TcpStream;
use wakeful_sim::Sim;

use super::{bytes, connection, read_to_end};

/// More than fits into the buffers of a connection.
const LARGE: usize = 100_000;

const PAUSE: Duration = Duration::from_millis(1);

/// Nothing follows the bytes, so no later event helps.
pub(super) async fn bytes_come_through_a_small_buffer(_: Sim) {
    let (client, server) = connection().await;
    let sent = bytes(200);
    let receive = async {
        let mut got = Vec::new();
        let mut buf = [0; 7];
        while got.len() < sent.len() {
            let n = server.read(&mut buf).await.unwrap();
            assert_ne!(n, 0, "the end after {} bytes", got.len());
            got.extend_from_slice(&buf[..n]);
        }
        got
    };
    let (wrote, got) = zip(client.write_all(&sent), receive).await;
    wrote.unwrap();
    assert_eq!(got, sent);
}

pub(super) async fn messages_are_read_whole(_: Sim) {
    let (client, server) = connection().await;
    let send = async {
        for message in 1..5 {
            client.write_all(&[message; 20]).await.unwrap();
        }
    };
    let receive = async {
        for message in 1..5 {
            let mut got = [0; 20];
            server.read_exact(&mut got).await.unwrap();
            assert_eq!(got, [message; 20]);
        }
    };
    zip(send, receive).await;
}

/// More operations in one poll than the budget allows, of two kinds.
pub(super) async fn many_small_reads(_: Sim) {
    let (client, server) = connection().await;
    let sent = bytes(400);
    client.write_all(&sent).await.unwrap();
    sleep(PAUSE).await;
    let mut got = Vec::new();
    let mut buf = [0; 1];
    while got.len() < sent.len() {
        consume_budget().await;
        assert_eq!(server.read(&mut buf).await.unwrap(), 1);
        got.push(buf[0]);
    }
    assert_eq!(got, sent);
}

/// At each end one task waits for bytes while another one waits for room.
pub(super) async fn both_directions_at_once(_: Sim) {
    async fn exchange(stream: TcpStream) {
        let stream = Rc::new(stream);
        let writer = wakeful::spawn({
            let stream = Rc::clone(&stream);
            async move { stream.write_all(&bytes(LARGE)).await.unwrap() }
        });
        let mut got = vec![0; LARGE];
        stream.read_exact(&mut got).await.unwrap();
        assert!(got == bytes(LARGE));
        writer.await.unwrap();
    }
    let (client, server) = connection().await;
    let client = wakeful::spawn(exchange(client));
    exchange(server).await;
    client.await.unwrap();
}

pub(super) async fn an_end_behind_bytes_is_read(_: Sim) {
    let (client, server) = connection().await;
    let sender = wakeful::spawn(async move {
        client.write_all(b"and the end").await.unwrap();
    });
    assert_eq!(read_to_end(&server, 64).await, b"and the end");
    sender.await.unwrap();
}

/// The reader is late and sends nothing, so room is all that the writer has to wait for.
pub(super) async fn a_writer_waits_for_room(_: Sim) {
    let (client, server) = connection().await;
    let sent = bytes(LARGE);
    let receive = async {
        sleep(PAUSE).await;
        let mut got = vec![0; LARGE];
        server.read_exact(&mut got).await.unwrap();
        got
    };
    let (wrote, got) = zip(client.write_all(&sent), receive).await;
    wrote.unwrap();
    assert!(got == sent);
}

pub(super) async fn a_reader_gives_up_beside_a_writer(_: Sim) {
    let (client, server) = connection().await;
    let client = Rc::new(client);
    let writer = wakeful::spawn({
        let client = Rc::clone(&client);
        async move { client.write_all(&bytes(LARGE)).await.unwrap() }
    });
    let reader = wakeful::spawn(async move {
        for _ in 0..10 {
            let read = timeout(PAUSE / 10, client.read(&mut [0; 1])).await;
            assert!(read.is_err(), "nothing was sent");
        }
        client
    });
    sleep(PAUSE * 2).await;
    let mut got = vec![0; LARGE];
    server.read_exact(&mut got).await.unwrap();
    assert!(got == bytes(LARGE));
    writer.await.unwrap();
    reader.await.unwrap();
}

pub(super) async fn a_read_moves_to_another_task(_: Sim) {
    let (client, server) = connection().await;
    let mut read = Box::pin(async move {
        let mut buf = [0];
        assert_eq!(client.read(&mut buf).await.unwrap(), 1);
        buf
    });
    assert!(poll_once(&mut read).await.is_none(), "it waits here first");
    let reader = wakeful::spawn(read);
    sleep(PAUSE).await;
    server.write_all(b"x").await.unwrap();
    assert_eq!(reader.await.unwrap(), *b"x");
}

pub(super) async fn a_peek_leaves_the_bytes(_: Sim) {
    let (client, server) = connection().await;
    client.write_all(b"0123456789").await.unwrap();
    sleep(PAUSE).await;
    let mut buf = [0; 64];
    let peeked = server.peek(&mut buf).await.unwrap();
    let mut got = vec![0; peeked];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(got, buf[..peeked]);
}

pub(super) async fn an_answer_follows_a_half_close(_: Sim) {
    let (client, server) = connection().await;
    let answer = wakeful::spawn(async move {
        let question = read_to_end(&server, 64).await;
        sleep(PAUSE).await;
        server.write_all(&question).await.unwrap();
    });
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&client, 64).await, b"question");
    answer.await.unwrap();
}

pub(super) async fn a_dropped_half_ends_the_stream(_: Sim) {
    let (client, server) = connection().await;
    let (_reader, writer) = client.into_split();
    writer.write_all(b"bye").await.unwrap();
    drop(writer);
    assert_eq!(read_to_end(&server, 64).await, b"bye");
}

pub(super) async fn a_shutdown_after_a_reset_succeeds(_: Sim) {
    let (client, server) = connection().await;
    server.set_zero_linger().unwrap();
    drop(server);
    client.read(&mut [0; 1]).await.unwrap_err();
    client.shutdown().await.unwrap();
}

/// A loop that asks all the time would take a turn for each microsecond.
pub(super) async fn waiting_takes_few_turns(_: Sim) {
    let (client, server) = connection().await;
    let before = wakeful::metrics().turns;
    let send = async {
        client.write_all(b"12345").await.unwrap();
        sleep(PAUSE).await;
        client.write_all(b"67890").await.unwrap();
    };
    let receive = async {
        let mut buf = [0; 5];
        server.read_exact(&mut buf).await.unwrap();
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"67890");
    };
    zip(send, receive).await;
    let turns = wakeful::metrics().turns - before;
    assert!(turns < 200, "{turns} turns");
}

/// Sends through a relay in both directions. The question ends before the answer begins.
async fn ask_through_relay(client: TcpStream, server: TcpStream) {
    let answer = wakeful::spawn(async move {
        sleep(PAUSE).await;
        let question = read_to_end(&server, 4096).await;
        assert!(question == bytes(LARGE));
        server.write_all(b"answer").await.unwrap();
    });
    client.write_all(&bytes(LARGE)).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&client, 64).await, b"answer");
    answer.await.unwrap();
}

pub(super) async fn a_relay_passes_on_the_end(_: Sim) {
    let (client, outside) = connection().await;
    let (inside, server) = connection().await;
    let relay = wakeful::spawn(async move {
        let copied = wakeful_net::io::copy_bidirectional(&outside, &inside).await;
        assert_eq!(copied.unwrap(), (LARGE as u64, 6));
    });
    ask_through_relay(client, server).await;
    relay.await.unwrap();
}

pub(super) async fn a_relay_of_any_streams_loses_no_byte(_: Sim) {
    let (client, mut outside) = connection().await;
    let (mut inside, server) = connection().await;
    let relay = wakeful::spawn(async move {
        let copied = wakeful::io::copy_bidirectional(&mut outside, &mut inside).await;
        assert_eq!(copied.unwrap(), (LARGE as u64, 6));
    });
    ask_through_relay(client, server).await;
    relay.await.unwrap();
}

pub(super) async fn a_closed_pipe_wakes_its_writer(_: Sim) {
    let (near, far) = duplex(4);
    let writer = wakeful::spawn(async move { near.write_all(&[0; 100]).await });
    sleep(PAUSE).await;
    drop(far);
    writer.await.unwrap().unwrap_err();
}
