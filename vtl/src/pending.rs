//! Connections that have not logged in. There are few places for them, and nobody can keep others out by sitting on them: whoever
//! comes when all are taken gets in, and one of the address that has most of them has to go.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

#[derive(Debug)]
struct Place {
    number: u64,
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
    /// address with the most places, the new one counted, the oldest that has said nothing, or else the oldest.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        sender: mpsc::UnboundedSender<Message>,
    ) -> PendingLogin {
        let mut guard = self.lock();
        let (next, places) = &mut *guard;
        let number = *next;
        *next = number.wrapping_add(1);
        if places.len() >= self.limit
            && let Some(index) = victim(places, address)
        {
            let gone = places.remove(index);
            debug!(address = %gone.address, "too many logins under way: the oldest of those who have most goes");
            if gone.sender.send(Message::Close(CloseReason::LoginTimeout)).is_err() {
                debug!("it was about to go already");
            }
        }
        places.push(Place { number, address, has_spoken: false, sender });
        PendingLogin { waiting: Arc::clone(self), number }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Vec<Place>)> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingLogin {
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

/// Who has to go for a newcomer.
fn victim(places: &[Place], newcomer: IpAddr) -> Option<usize> {
    let count = |address| {
        let own = places.iter().filter(|place| place.address == address).count();
        own + usize::from(address == newcomer)
    };
    let most = places.iter().map(|place| count(place.address)).max()?;
    let candidates =
        || places.iter().enumerate().filter(move |(_, place)| count(place.address) == most);
    candidates()
        .find(|(_, place)| !place.has_spoken)
        .or_else(|| candidates().next())
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
        let _fourth = enter(&waiting, 1);
        assert!(has_to_go(&mut of_first), "the oldest, if all have");
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
