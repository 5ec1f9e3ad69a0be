//! Tests of `websocket` and `tokio-websocket` with the Python package websockets.

use crate::support::{Client, Program, SHUTTING_DOWN, python};

/// Both programs do the same.
const PROGRAMS: [&str; 2] = [
    env!("CARGO_BIN_EXE_websocket"),
    env!("CARGO_BIN_EXE_tokio-websocket"),
];

/// Runs a test with each program.
fn for_each_program(test: impl Fn(Program)) {
    for path in PROGRAMS {
        test(Program::start(path, &[]));
    }
}

impl Program {
    fn run_websockets(&self, program: &str) -> String {
        let program = format!("import asyncio, sys, websockets\n{program}\nasyncio.run(main())");
        python(&program, &[&format!("ws://{}", self.address)])
    }
}

#[test]
fn messages_are_echoed_and_pings_are_answered() {
    for_each_program(|server| {
        let output = server.run_websockets(
            r#"
async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        for message in ["", "hello", "ä" * 100_000, b"", bytes(range(256)) * 400]:
            await socket.send(message)
            assert await socket.recv() == message
        # In fragments, then a ping.
        await socket.send(["in ", "three ", "parts"])
        assert await socket.recv() == "in three parts"
        await asyncio.wait_for(await socket.ping(), 30)
    print(socket.close_code)
"#,
        );
        assert_eq!(output, "1000\n", "a confirmed close");
        server.assert_all_closed();
    });
}

#[test]
fn a_hundred_clients_are_served_at_once() {
    for_each_program(|server| {
        let output = server.run_websockets(
            r#"
async def talk(n):
    async with websockets.connect(sys.argv[1], open_timeout=30) as socket:
        for turn in range(10):
            message = f"client {n}, turn {turn} " + "x" * n
            await socket.send(message)
            assert await socket.recv() == message
            await asyncio.sleep(0)
    return 1

async def main():
    print(sum(await asyncio.gather(*(talk(n) for n in range(100)))))
"#,
        );
        assert_eq!(output, "100\n");
        server.assert_all_closed();
    });
}

#[test]
fn a_message_over_the_limit_ends_its_connection() {
    for_each_program(|server| {
        let output = server.run_websockets(
            r#"
async def main():
    async with websockets.connect(sys.argv[1], max_size=None) as socket:
        try:
            await socket.send("x" * (2 << 20))
            await socket.recv()
        except (websockets.ConnectionClosed, ConnectionError):
            print("closed")
"#,
        );
        assert_eq!(output, "closed\n");
        server.assert_all_closed();
    });
}

#[test]
fn the_next_client_is_served_after_others_disconnected_in_the_middle_of_a_message() {
    for_each_program(|server| {
        server.disconnect_after(b"");
        server.disconnect_after(b"GET / HTTP/1.1\r\nupgrade: websocket\r\n");
        let handshake = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        server.disconnect_after(handshake.as_bytes());
        // A frame with a length of 100 bytes, of which 4 are sent.
        let half = [handshake.as_bytes(), b"\x81\xe4\0\0\0\0half"].concat();
        server.disconnect_after(&half);
        let output = server.run_websockets(
            r#"
async def leave(n):
    socket = await websockets.connect(sys.argv[1], open_timeout=30)
    await socket.send("x" * 50_000)
    socket.transport.abort()

async def main():
    await asyncio.gather(*(leave(n) for n in range(100)))
    async with websockets.connect(sys.argv[1]) as socket:
        await socket.send("still there?")
        print(await socket.recv())
"#,
        );
        assert_eq!(output, "still there?\n");
        server.assert_all_closed();
    });
}

#[test]
fn ctrl_c_closes_idle_connections_with_a_close_frame() {
    for_each_program(|server| {
        let program = r#"
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        await socket.send("x")
        print(await socket.recv(), flush=True)
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(closed.rcvd.code if closed.rcvd else "no close frame")
asyncio.run(main())
"#;
        let mut idle = Client::python(program, &[&format!("ws://{}", server.address)]);
        assert_eq!(idle.line(), "x");
        server.ctrl_c();
        assert_eq!(idle.line(), "1005", "a close frame without a code");
        assert_eq!(server.end(), [SHUTTING_DOWN], "no connection was aborted");
    });
}
