//! A session takes its place in the list: the one that had it before ends first (RFC 7143 §6.3.5).

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, warn};
use vtl_iscsi::{CloseReason, LoginStatus};

use super::{
    Grant, MAX_DISCOVERY, MAX_SESSIONS_OF_NAME, OpenEntry, Portal, REINSTATEMENT_LIMIT, SessionKey,
};
use crate::session::Message;

impl Portal {
    /// Enters a session in the list, once nobody else is there under its key. Whoever is in no list would hear neither of rules that
    /// change nor of resets, so none is ever written over, but one that was told to go and is stuck.
    pub(super) async fn take_place(
        &self,
        key: &SessionKey,
        sender: &mpsc::UnboundedSender<Message>,
        grant: Option<Grant>,
    ) -> Result<u16, LoginStatus> {
        let mut stuck = None;
        loop {
            let (tsih, mut ended) = {
                let mut sessions = self.lock();
                let Some(entry) = sessions.get(key).filter(|entry| Some(entry.tsih) != stuck)
                else {
                    let is_kin = |other: &&SessionKey| {
                        *other != key
                            && other.initiator == key.initiator
                            && other.target == key.target
                    };
                    if sessions.len() >= self.limits.sessions
                        || sessions.keys().filter(is_kin).count() >= MAX_SESSIONS_OF_NAME
                    {
                        return Err(LoginStatus::OUT_OF_RESOURCES);
                    }
                    if key.target.is_none() && !make_room(&sessions) {
                        return Err(LoginStatus::OUT_OF_RESOURCES);
                    }
                    let tsih = self.free_tsih(&sessions);
                    let (alive, ended) = watch::channel(());
                    let sender = sender.clone();
                    let entry = OpenEntry {
                        tsih,
                        begun: Instant::now(),
                        sender,
                        grant,
                        ended,
                        _alive: alive,
                    };
                    sessions.insert(key.clone(), entry);
                    return Ok(tsih);
                };
                if entry.sender.send(Message::Close(CloseReason::Reinstated)).is_err() {
                    debug!(tsih = entry.tsih, "the old session is ending already");
                }
                (entry.tsih, entry.ended.clone())
            };
            let end = async { while ended.changed().await.is_ok() {} };
            if tokio::time::timeout(REINSTATEMENT_LIMIT, end).await.is_err() {
                warn!(
                    initiator = key.initiator,
                    "the old session does not end; the new one takes its place all the same"
                );
                stuck = Some(tsih);
            }
        }
    }
}

/// Whether one discovery session more may be there. Whoever comes to look for targets is done in a moment, so the oldest of many is
/// somebody who stays for no good reason.
fn make_room(sessions: &HashMap<SessionKey, OpenEntry>) -> bool {
    let of_discovery = || sessions.iter().filter(|(key, _)| key.target.is_none());
    let count = of_discovery().count();
    if count >= MAX_DISCOVERY
        && let Some((key, oldest)) = of_discovery().min_by_key(|(_, entry)| entry.begun)
        && oldest.sender.send(Message::Close(CloseReason::Discovery)).is_err()
    {
        debug!(initiator = key.initiator, "the oldest discovery session is ending already");
    }
    count < 2 * MAX_DISCOVERY
}
