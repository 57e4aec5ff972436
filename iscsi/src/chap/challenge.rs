//! Challenges: fresh for each attempt, and none of them answered by ourselves.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ChapAlgorithm, Secret};

/// Bytes of a challenge of ours: more than anybody could guess or see again.
const CHALLENGE_BYTES: usize = 32;

type Bytes = [u8; CHALLENGE_BYTES];

/// There is no randomness: nobody can be asked for a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random numbers")]
pub struct RandomFailed;

/// Fills a buffer with bytes that nobody can foresee.
type RandomSource = dyn Fn(&mut [u8]) -> Result<(), RandomFailed> + Send + Sync;

/// Issues the challenges of all connections, and knows which of them are not answered yet.
///
/// Whoever sends one of them back, on whichever connection, wants us to answer it in his place.
#[derive(Clone)]
pub struct ChallengeBook {
    random: Arc<RandomSource>,
    outstanding: Arc<Mutex<HashSet<Bytes>>>,
}

/// One challenge, outstanding as long as it lives.
pub(crate) struct Challenge {
    algorithm: ChapAlgorithm,
    identifier: u8,
    bytes: Bytes,
    decoy: Secret,
    book: ChallengeBook,
}

impl ChallengeBook {
    /// Challenges from this source.
    pub fn new(
        random: impl Fn(&mut [u8]) -> Result<(), RandomFailed> + Send + Sync + 'static,
    ) -> Self {
        Self { random: Arc::new(random), outstanding: Arc::default() }
    }

    /// No challenges at all: whoever has to authenticate is refused.
    pub fn closed() -> Self {
        Self::new(|_| Err(RandomFailed))
    }

    pub(crate) fn issue(&self, algorithm: ChapAlgorithm) -> Result<Challenge, RandomFailed> {
        let (mut bytes, mut decoy, mut identifier) =
            ([0; CHALLENGE_BYTES], [0; CHALLENGE_BYTES], [0]);
        (self.random)(&mut bytes)?;
        (self.random)(&mut decoy)?;
        (self.random)(&mut identifier)?;
        let [identifier] = identifier;
        self.lock().insert(bytes);
        let decoy = Secret::new(decoy);
        Ok(Challenge { algorithm, identifier, bytes, decoy, book: self.clone() })
    }

    /// Whether this is a challenge of ours that waits for its answer.
    pub(crate) fn is_ours(&self, challenge: &[u8]) -> bool {
        Bytes::try_from(challenge).is_ok_and(|bytes| self.lock().contains(&bytes))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Bytes>> {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Challenge {
    pub(crate) fn algorithm(&self) -> ChapAlgorithm {
        self.algorithm
    }

    pub(crate) fn identifier(&self) -> u8 {
        self.identifier
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What is computed with where there is no secret.
    pub(crate) fn decoy(&self) -> &Secret {
        &self.decoy
    }

    /// The book that it is in.
    pub(crate) fn book(&self) -> &ChallengeBook {
        &self.book
    }
}

impl Drop for Challenge {
    fn drop(&mut self) {
        self.book.lock().remove(&self.bytes);
    }
}

impl fmt::Debug for ChallengeBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeBook")
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({}, {})", self.algorithm, self.identifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_outstanding_until_it_is_dropped() {
        let book = ChallengeBook::new(|bytes| {
            bytes.fill(9);
            Ok(())
        });
        let challenge = book.issue(ChapAlgorithm::Md5).unwrap();
        assert!(book.is_ours(&[9; CHALLENGE_BYTES]));
        assert!(!book.is_ours(&[9; CHALLENGE_BYTES - 1]) && !book.is_ours(&[8; CHALLENGE_BYTES]));
        drop(challenge);
        assert!(!book.is_ours(&[9; CHALLENGE_BYTES]));
    }

    /// As the program has them: from the operating system.
    #[test]
    fn a_million_challenges_differ() {
        let book = ChallengeBook::new(|bytes| getrandom::fill(bytes).map_err(|_| RandomFailed));
        let mut seen = HashSet::new();
        for _ in 0..1_000_000 {
            let challenge = book.issue(ChapAlgorithm::Sha256).unwrap();
            assert!(seen.insert(*challenge.bytes()));
        }
        assert!(book.lock().is_empty(), "none is outstanding any more");
    }

    #[test]
    fn without_randomness_there_is_no_challenge() {
        assert_eq!(ChallengeBook::closed().issue(ChapAlgorithm::Md5).map(drop), Err(RandomFailed));
        const { assert!(CHALLENGE_BYTES >= 16) };
    }
}
