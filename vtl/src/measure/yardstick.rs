//! The yardsticks: request and response of the same sizes over loopback TCP, with nothing behind them or with a plain file.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use vtl_media::disk::{Disk, DiskFile, OpenMode, RealDisk, read_exact_at, write_all_at};

const SMALL_BYTES: usize = 48;

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Write,
    /// From the server to the client.
    Read,
}

/// A file that a yardstick's server appends to, and that it reads from afterwards, as a program does that thinks of nothing:
/// through the page cache. What is written is made durable before the last answer.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl Scratch {
    /// An empty file in a directory; it goes with this value.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(format!("vtl-yardstick.{}", std::process::id()));
        let file = RealDisk
            .open(&path, OpenMode::CreateNew)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Makes the file empty again.
    pub fn clear(&self) -> anyhow::Result<()> {
        Ok(self.file.set_length(0)?)
    }

    /// Takes the file out of the page cache.
    pub fn cool(&self) -> anyhow::Result<()> {
        self.file.sync_data()?;
        ensure!(self.file.drop_cached()?, "the page cache keeps {}", self.path.display());
        Ok(())
    }

    fn serve(&self, direction: Direction, number: usize, block: &mut [u8]) -> std::io::Result<()> {
        let offset = number as u64 * block.len() as u64;
        match direction {
            Direction::Write => write_all_at(&*self.file, block, offset),
            Direction::Read => read_exact_at(&*self.file, block, offset),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = RealDisk.remove(&self.path) {
            eprintln!("{} stays: {error}", self.path.display());
        }
    }
}

/// The time that `count` exchanges of `block_bytes` one way and a header the other take, one at a time.
pub fn exchanges(
    direction: Direction,
    block_bytes: usize,
    count: usize,
    scratch: Option<&Scratch>,
) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (request, response) = match direction {
        Direction::Write => (block_bytes + SMALL_BYTES, SMALL_BYTES),
        Direction::Read => (SMALL_BYTES, block_bytes + SMALL_BYTES),
    };
    let serve = || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let (mut inward, mut outward) = (vec![0; request], vec![1; response]);
        for number in 0..count {
            stream.read_exact(&mut inward)?;
            if let Some(scratch) = scratch {
                let message =
                    if direction == Direction::Write { &mut inward } else { &mut outward };
                let block = message.get_mut(SMALL_BYTES..).unwrap_or_default();
                scratch.serve(direction, number, block)?;
                if direction == Direction::Write && number + 1 == count {
                    scratch.file.sync_data()?;
                }
            }
            stream.write_all(&outward)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let server = scope.spawn(serve);
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (outward, mut inward) = (vec![2; request], vec![0; response]);
        let start = Instant::now();
        for _ in 0..count {
            stream.write_all(&outward)?;
            stream.read_exact(&mut inward)?;
        }
        let took = start.elapsed();
        server.join().ok().context("the yardstick's server failed")??;
        Ok(took)
    })
}
