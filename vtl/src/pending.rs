//! Connections that have not logged in. There are few places for them, and nobody can keep others out by sitting on them: whoever
//! comes when all are taken gets in, and one of the address that has most of them has to go. Only an address whose own logins are all
//! well under way is told to come again: a backup server that lost all its sessions at once does not throw itself out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::debug;
use vtl_iscsi::CloseReason;

use crate::session::Message;

/// The places.
#[derive(Debug)]
pub(crate) struct Waiting {
    limit: usize,
    // Invariant: in the order of their numbers, which is that in which they came; at most `limit`.
    places: Mutex<(u64, Vec<Place>)>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct PendingLogin {
    waiting: Arc<Waiting>,
    number: u64,
    is_refused: bool,
}

#[derive(Debug)]
struct Place {
    number: u64,
    since: Instant,
    address: IpAddr,
    /// A request of its login has been answered.
    has_spoken: bool,
    sender: mpsc::UnboundedSender<Message>,
}

impl Waiting {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, places: Mutex::default() })
    }

    /// A place for a new connection from this address. If there is none, somebody else is told through its sender to go: of the
    /// address with the most places, the new one counted, the oldest that has said nothing, or else the oldest. Where these are the
    /// newcomer's own, and each of them has spoken and is young, the newcomer is refused.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        sender: mpsc::UnboundedSender<Message>,
    ) -> PendingLogin {
        let mut guard = self.lock();
        let (next, places) = &mut *guard;
        let number = *next;
        *next = number.wrapping_add(1);
        if places.len() >= self.limit {
            let Some(index) = victim(places, address, Instant::now()) else {
                debug!(%address, "too many logins of this address are under way: it is told to come again");
                return PendingLogin { waiting: Arc::clone(self), number, is_refused: true };
            };
            let gone = places.remove(index);
            debug!(address = %gone.address, "too many logins under way: the oldest of those who have most goes");
            if gone.sender.send(Message::Close(CloseReason::LoginTimeout)).is_err() {
                debug!("it was about to go already");
            }
        }
        let since = Instant::now();
        places.push(Place { number, since, address, has_spoken: false, sender });
        PendingLogin { waiting: Arc::clone(self), number, is_refused: false }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Vec<Place>)> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingLogin {
    /// Whether there was no place: the login is answered with "out of resources", which initiators take for "come again".
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// A request of the login has been answered: those who say nothing have to go first.
    pub(crate) fn has_spoken(&self) {
        for place in self.waiting.lock().1.iter_mut().filter(|place| place.number == self.number) {
            place.has_spoken = true;
        }
    }
}

impl Drop for PendingLogin {
    fn drop(&mut self) {
        self.waiting.lock().1.retain(|place| place.number != self.number);
    }
}

/// A login that has begun is over long before, unless somebody sits on it.
const YOUNG: Duration = Duration::from_secs(2);

/// Who has to go for a newcomer.
fn victim(places: &[Place], newcomer: IpAddr, now: Instant) -> Option<usize> {
    let count = |address| {
        let own = places.iter().filter(|place| place.address == address).count();
        own + usize::from(address == newcomer)
    };
    let most = places.iter().map(|place| count(place.address)).max()?;
    let candidates =
        || places.iter().enumerate().filter(move |(_, place)| count(place.address) == most);
    candidates()
        .find(|(_, place)| !place.has_spoken)
        .or_else(|| {
            let may_go = |place: &Place| {
                place.address != newcomer || now.saturating_duration_since(place.since) >= YOUNG
            };
            candidates().find(|(_, place)| may_go(place))
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Receiver = mpsc::UnboundedReceiver<Message>;

    fn enter(waiting: &Arc<Waiting>, last: u8) -> (PendingLogin, Receiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (waiting.enter(IpAddr::from([192, 0, 2, last]), sender), receiver)
    }

    fn has_to_go(receiver: &mut Receiver) -> bool {
        receiver.try_recv().is_ok()
    }

    // Sixteen strangers who said nothing kept everybody out for ten seconds, and could do so again and again.
    #[test]
    fn strangers_who_hold_all_places_make_room_for_somebody_else() {
        let waiting = Waiting::new(3);
        let mut strangers: Vec<_> = (0..3).map(|_| enter(&waiting, 66)).collect();
        let (place, mut other) = enter(&waiting, 1);
        assert!(has_to_go(&mut strangers[0].1) && !has_to_go(&mut strangers[1].1));
        // More of them replace each other, not the one who is alone.
        for _ in 0..10 {
            strangers.push(enter(&waiting, 66));
        }
        assert!(!has_to_go(&mut other));
        assert_eq!(waiting.lock().1.len(), 3);
        drop(place);
        assert_eq!(waiting.lock().1.len(), 2);
    }

    #[test]
    fn who_says_nothing_goes_first() {
        let waiting = Waiting::new(2);
        let (first, mut of_first) = enter(&waiting, 1);
        first.has_spoken();
        let (_second, mut of_second) = enter(&waiting, 1);
        let (third, _) = enter(&waiting, 1);
        assert!(!has_to_go(&mut of_first) && has_to_go(&mut of_second));
        third.has_spoken();
        let _fourth = enter(&waiting, 2);
        let _fifth = enter(&waiting, 2);
        assert!(has_to_go(&mut of_first), "the oldest, if all have");
    }

    // A backup server that came back with all its sessions at once threw its own logins out, one after the other.
    #[test]
    fn an_address_does_not_throw_itself_out() {
        let waiting = Waiting::new(2);
        let (first, mut of_first) = enter(&waiting, 1);
        let (second, mut of_second) = enter(&waiting, 1);
        first.has_spoken();
        second.has_spoken();
        let (third, _) = enter(&waiting, 1);
        assert!(third.is_refused() && !has_to_go(&mut of_first) && !has_to_go(&mut of_second));
        drop(third);
        // Those who sit on a login that they have begun have to go all the same.
        waiting.lock().1[1].since = Instant::now().checked_sub(YOUNG).unwrap();
        let (fourth, _) = enter(&waiting, 1);
        assert!(!fourth.is_refused() && has_to_go(&mut of_second));
        drop((first, second, fourth));
        assert!(waiting.lock().1.is_empty());
    }

    #[test]
    fn where_all_are_from_elsewhere_the_oldest_goes() {
        let waiting = Waiting::new(2);
        let (_one, mut of_one) = enter(&waiting, 1);
        let (_two, mut of_two) = enter(&waiting, 2);
        let _three = enter(&waiting, 3);
        assert!(has_to_go(&mut of_one) && !has_to_go(&mut of_two));
    }
}
