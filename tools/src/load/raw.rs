//! The yardstick: request and response of the same sizes over loopback TCP, with nothing behind them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

const SMALL_BYTES: usize = 48;

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Write,
    Read,
}

/// Times of `count` exchanges of `block_bytes` one way and a header the other, one at a time.
pub(crate) fn exchanges(
    direction: Direction,
    block_bytes: usize,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (request, response) = match direction {
        Direction::Write => (block_bytes + SMALL_BYTES, SMALL_BYTES),
        Direction::Read => (SMALL_BYTES, block_bytes + SMALL_BYTES),
    };
    let server = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let (mut inward, outward) = (vec![0; request], vec![1; response]);
        for _ in 0..count {
            stream.read_exact(&mut inward)?;
            stream.write_all(&outward)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (outward, mut inward) = (vec![2; request], vec![0; response]);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(&outward)?;
        stream.read_exact(&mut inward)?;
        times.push(start.elapsed());
    }
    server.join().ok().context("the yardstick's server failed")??;
    Ok(times)
}
