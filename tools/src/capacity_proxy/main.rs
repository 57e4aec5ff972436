//! `vtl-capacity-proxy`: stands between libiscsi's `iscsi-test-cu` and a library, and answers READ CAPACITY.
//!
//! That program takes no unit that is not a disk: it ends when READ CAPACITY is refused. Much of what it tests is every unit's
//! business, though. The sequence numbers of a session stay right because nothing is added to it and nothing taken away: READ
//! CAPACITY goes to the library as an INQUIRY of the same length, and the data of the answer is replaced on the way back.

mod pdu;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use clap::Parser;

use crate::pdu::{DATA_IN, LOGIN_RESPONSE, Pdu, SCSI_COMMAND, SCSI_RESPONSE};

const INQUIRY: u8 = 0x12;
const READ_CAPACITY_10: u8 = 0x25;
const SERVICE_ACTION_IN_16: u8 = 0x9e;
const READ_CAPACITY_16: u8 = 0x10;
/// The disk that is pretended: so many blocks of so many bytes.
const BLOCKS: u32 = 1 << 18;
const BLOCK_BYTES: u32 = 512;

/// Answers READ CAPACITY for a library, and passes everything else on.
#[derive(Debug, Parser)]
struct Options {
    /// Where the library listens.
    #[arg(long)]
    target: SocketAddr,
}

/// What replaces the beginning of the answers that are under way, by the initiator's task tag.
type UnderWay = Mutex<HashMap<u32, Vec<u8>>>;

#[allow(clippy::print_stdout, reason = "whoever starts it needs the address")]
fn main() -> ExitCode {
    let Options { target } = Options::parse();
    let listener = match TcpListener::bind("127.0.0.1:0") {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("capacity-proxy: cannot listen: {error}");
            return ExitCode::FAILURE;
        }
    };
    match listener.local_addr() {
        Ok(address) => println!("ready {address}"),
        Err(error) => eprintln!("capacity-proxy: {error}"),
    }
    for stream in listener.incoming() {
        thread::spawn(move || {
            if let Err(error) = stream.map_err(Into::into).and_then(|stream| serve(stream, target))
            {
                eprintln!("capacity-proxy: {error:#}");
            }
        });
    }
    ExitCode::SUCCESS
}

/// One connection, until either side ends it.
fn serve(initiator: TcpStream, target: SocketAddr) -> anyhow::Result<()> {
    let target = TcpStream::connect(target).with_context(|| format!("connecting to {target}"))?;
    initiator.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let under_way = Arc::new(UnderWay::default());
    let back = {
        let (from, to) = (target.try_clone()?, initiator.try_clone()?);
        let under_way = Arc::clone(&under_way);
        thread::spawn(move || pass(from, to, |pdu| on_the_way_back(pdu, &under_way)))
    };
    let forth = pass(initiator, target, |pdu| {
        on_the_way_in(pdu, &under_way);
        Ok(())
    });
    back.join().unwrap_or(Ok(())).and(forth)
}

/// Passes PDUs on until the sender has no more, or one of the two cannot go on.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    mut change: impl FnMut(&mut Pdu) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut pass_all = || -> anyhow::Result<()> {
        while let Some(mut pdu) = Pdu::read(&mut from)? {
            change(&mut pdu)?;
            match to.write_all(&pdu.bytes()) {
                Ok(()) => {}
                // It went away first; what the other one still has to say interests nobody.
                Err(error) if is_gone(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    let result = pass_all();
    for stream in [from, to] {
        match stream.shutdown(Shutdown::Both) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                return result.and(Err(error.into()));
            }
            _ => {}
        }
    }
    result
}

/// Whether a connection was ended by the other side, as test programs do without ceremony.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

fn on_the_way_in(pdu: &mut Pdu, under_way: &UnderWay) {
    if pdu.opcode() != SCSI_COMMAND {
        return;
    }
    let answer = match (pdu.byte(32), pdu.byte(33) & 0x1f) {
        (READ_CAPACITY_10, _) => capacity_10(),
        (SERVICE_ACTION_IN_16, READ_CAPACITY_16) => {
            let allocated = usize::try_from(pdu.word(32 + 10)).unwrap_or(usize::MAX);
            let mut answer = capacity_16();
            answer.truncate(allocated);
            answer
        }
        _ => return,
    };
    // 0 operation code, 1 EVPD, 2 page, 3-4 allocation length. Standard INQUIRY data is longer than any of the answers.
    let [high, low] = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes();
    pdu.put(32, &[INQUIRY, 0, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    lock(under_way).insert(pdu.word(16), answer);
}

fn on_the_way_back(pdu: &mut Pdu, under_way: &UnderWay) -> anyhow::Result<()> {
    let tag = pdu.word(16);
    match pdu.opcode() {
        LOGIN_RESPONSE => anyhow::ensure!(
            !pdu.data.windows(13).any(|text| text == b"Digest=CRC32C"),
            "digests were agreed on, and this program cannot renew them"
        ),
        DATA_IN => {
            let mut under_way = lock(under_way);
            if let Some(answer) = under_way.get(&tag) {
                let offset = usize::try_from(pdu.word(40)).unwrap_or(usize::MAX);
                for (to, from) in pdu.data.iter_mut().zip(answer.iter().skip(offset)) {
                    *to = *from;
                }
                if pdu.byte(1) & pdu::STATUS != 0 {
                    under_way.remove(&tag);
                }
            }
        }
        SCSI_RESPONSE => {
            lock(under_way).remove(&tag);
        }
        _ => {}
    }
    Ok(())
}

// 0-3 last block, 4-7 block length
fn capacity_10() -> Vec<u8> {
    [(BLOCKS - 1).to_be_bytes(), BLOCK_BYTES.to_be_bytes()].concat()
}

// 0-7 last block, 8-11 block length, 12-31 no protection, no provisioning
fn capacity_16() -> Vec<u8> {
    let mut answer = u64::from(BLOCKS - 1).to_be_bytes().to_vec();
    answer.extend(BLOCK_BYTES.to_be_bytes());
    answer.resize(32, 0);
    answer
}

fn lock(under_way: &UnderWay) -> std::sync::MutexGuard<'_, HashMap<u32, Vec<u8>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(tag: u32, cdb: &[u8]) -> Pdu {
        let mut pdu = Pdu { bhs: [0; 48], ahs: Vec::new(), data: Vec::new() };
        pdu.put(0, &[SCSI_COMMAND]);
        pdu.put(16, &tag.to_be_bytes());
        pdu.put(32, cdb);
        pdu
    }

    fn data_in(tag: u32, data: &[u8]) -> Pdu {
        let mut pdu = Pdu { bhs: [0; 48], ahs: Vec::new(), data: data.to_vec() };
        pdu.put(0, &[DATA_IN, pdu::STATUS]);
        pdu.put(16, &tag.to_be_bytes());
        pdu
    }

    #[test]
    fn read_capacity_goes_in_as_inquiry_and_comes_back_as_a_capacity() {
        let under_way = UnderWay::default();
        let mut pdu = command(7, &[READ_CAPACITY_10]);
        on_the_way_in(&mut pdu, &under_way);
        assert_eq!(pdu.bhs[32..38], [INQUIRY, 0, 0, 0, 8, 0]);
        let mut answer = data_in(7, &[0xff; 8]);
        on_the_way_back(&mut answer, &under_way).unwrap();
        assert_eq!(answer.data, [0, 3, 0xff, 0xff, 0, 0, 2, 0]);
        let mut next = data_in(7, &[0xff; 8]);
        on_the_way_back(&mut next, &under_way).unwrap();
        assert_eq!(next.data, [0xff; 8], "the tag is free again after the status");
    }

    #[test]
    fn read_capacity_16_is_as_long_as_it_may_be() {
        let under_way = UnderWay::default();
        let mut pdu = command(
            8,
            &[SERVICE_ACTION_IN_16, READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12],
        );
        on_the_way_in(&mut pdu, &under_way);
        assert_eq!(pdu.bhs[32..38], [INQUIRY, 0, 0, 0, 12, 0]);
    }

    #[test]
    fn other_commands_and_answers_stay_as_they_are() {
        let under_way = UnderWay::default();
        let mut pdu = command(9, &[0x08, 0, 0, 0, 8, 0]);
        let before = pdu.bytes();
        on_the_way_in(&mut pdu, &under_way);
        assert_eq!(pdu.bytes(), before);
        let mut answer = data_in(9, &[1; 8]);
        on_the_way_back(&mut answer, &under_way).unwrap();
        assert_eq!(answer.data, [1; 8]);
    }
}
