//! A member's bytes as they come from the library: in pieces, which small members share with their neighbours.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use vtl_vault::archive::Member;

use super::{PIECE_BYTES_MAX, Piece};
use crate::client;
use crate::request::{Failure, FailureKind, Request};

/// Where the bytes of the tape file come from.
#[derive(Debug)]
pub(super) struct Source<'a> {
    data: &'a Path,
    /// What every piece has in common.
    piece: Piece,
    /// Where what was chosen lies in one run, by its beginnings.
    runs: BTreeMap<u64, u64>,
    /// The piece that came last, and where it begins.
    held: RefCell<(u64, Vec<u8>)>,
}

impl<'a> Source<'a> {
    /// For these members of the tape file that the piece names.
    pub(super) fn new(data: &'a Path, piece: Piece, chosen: &[&Member]) -> Self {
        Self { data, piece, runs: runs(chosen), held: RefCell::default() }
    }

    /// The bytes of a member, with its headers in front of it. `failure` keeps a failure as it came: what unpacks knows only errors of files.
    pub(super) fn stream<'b>(
        &'b self,
        member: &Member,
        failure: &'b mut Option<Failure>,
    ) -> Stream<'b> {
        let held = io::Cursor::default();
        let rest = VecDeque::new();
        Stream { source: self, at: member.begin, end: member.end, held, rest, failure }
    }

    /// Bytes from a place on, but none from `end` on.
    fn bytes(&self, at: u64, end: u64) -> Result<Vec<u8>, Failure> {
        if let Some(bytes) = self.held_from(at, end) {
            return Ok(bytes);
        }
        let run = self.runs.range(..=at).next_back().map(|(_, run_end)| *run_end);
        let reach = run.filter(|run_end| *run_end > end).unwrap_or(end);
        match self.fetch(at, reach) {
            // What is damaged may be a neighbour.
            Err(failure) if failure.kind == FailureKind::Damaged && reach > end => {
                self.fetch(at, end)?;
            }
            fetched => fetched?,
        }
        self.held_from(at, end)
            .ok_or_else(|| Failure::new(FailureKind::Failed, "an empty piece came"))
    }

    fn fetch(&self, begin: u64, end: u64) -> Result<(), Failure> {
        let end = end.min(begin.saturating_add(PIECE_BYTES_MAX));
        let piece = Piece { begin, end, ..self.piece.clone() };
        let answer = client::ask(self.data, Request::ReadPiece(piece))?;
        let text = answer.get("bytes").and_then(Value::as_str).unwrap_or_default();
        *self.held.borrow_mut() = (begin, STANDARD.decode(text).map_err(Failure::failed)?);
        Ok(())
    }

    fn held_from(&self, at: u64, end: u64) -> Option<Vec<u8>> {
        let held = self.held.borrow();
        let (begin, bytes) = &*held;
        let from = usize::try_from(at.checked_sub(*begin)?).ok()?;
        let to = usize::try_from(end.checked_sub(*begin)?).unwrap_or(usize::MAX).min(bytes.len());
        bytes.get(from..to).filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec)
    }
}

/// What lies one behind the other among the members that were chosen: from where to where.
fn runs(chosen: &[&Member]) -> BTreeMap<u64, u64> {
    let mut runs: BTreeMap<u64, u64> = BTreeMap::new();
    for member in chosen {
        match runs.last_entry() {
            Some(mut last) if *last.get() == member.begin => {
                last.insert(member.end);
            }
            _ => {
                runs.insert(member.begin, member.end);
            }
        }
    }
    runs
}

/// A member's bytes, one after the other.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    source: &'a Source<'a>,
    at: u64,
    end: u64,
    held: io::Cursor<Vec<u8>>,
    /// What follows from elsewhere: from where to where.
    rest: VecDeque<(&'a Source<'a>, u64, u64)>,
    failure: &'a mut Option<Failure>,
}

impl<'a> Stream<'a> {
    /// Ends here, and goes on with these pieces of other tape files.
    pub(super) fn going_on(mut self, end: u64, rest: &'a [Rest<'a>]) -> Self {
        self.end = end;
        self.rest = rest.iter().map(|rest| (&rest.source, rest.begin, rest.end)).collect();
        self
    }
}

/// A piece of another tape file with which a member goes on.
#[derive(Debug)]
pub(super) struct Rest<'a> {
    pub(super) source: Source<'a>,
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.held.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if self.at >= self.end {
                let Some(next) = self.rest.pop_front() else { return Ok(0) };
                (self.source, self.at, self.end) = next;
                continue;
            }
            match self.source.bytes(self.at, self.end) {
                Ok(bytes) => {
                    self.at = self.at.saturating_add(bytes.len() as u64);
                    self.held = io::Cursor::new(bytes);
                }
                Err(failure) => {
                    let text = failure.to_string();
                    *self.failure = Some(failure);
                    return Err(io::Error::other(text));
                }
            }
        }
    }
}
