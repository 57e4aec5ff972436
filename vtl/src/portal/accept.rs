//! Connections come in: how many there may be, and what each begins with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::debug;
use vtl_iscsi::{Connection, LoginStatus};

use super::Portal;
use crate::access::Gate;
use crate::pending::PendingLogin;
use crate::session::{self, Message};

/// Connections that have not logged in; one of them goes for the next one.
const MAX_PENDING_LOGINS: usize = 16;
/// Sessions of all initiators together.
const MAX_SESSIONS: usize = 1024;
/// Connections that are about to end, beside those in login and those of sessions.
const MAX_ENDING: usize = 64;

/// How many connections there may be, so that descriptors are left for cartridges.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) connections: usize,
    pub(super) pending: usize,
    pub(super) sessions: usize,
}

/// What a new connection has.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) sender: mpsc::UnboundedSender<Message>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Message>,
    pub(crate) pending: PendingLogin,
    /// Counts against the limit of connections.
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Portal {
    pub(super) fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY");
        }
        let Some((place, connection, gate)) = self.place(&stream, peer.ip()) else {
            debug!(%peer, "too many connections");
            return;
        };
        tokio::spawn(session::run(stream, connection, (self.clone(), gate), place));
    }

    /// What a connection from this address begins with, if there is room for one.
    pub(crate) fn place(
        &self,
        stream: &TcpStream,
        peer: IpAddr,
    ) -> Option<(Place, Connection, Arc<Gate>)> {
        let now = self.now();
        let permit = self.connections.clone().try_acquire_owned().ok()?;
        let (sender, inbox) = mpsc::unbounded_channel();
        let pending = self.pending.enter(peer, sender.clone());
        let (config, gate) = self.config();
        let mut connection = if pending.is_refused() {
            let status = LoginStatus::OUT_OF_RESOURCES;
            Connection::refusing(config, self.pool.clone(), status, now)
        } else {
            Connection::new(config, self.pool.clone(), now)
        };
        if let Ok(address) = stream.local_addr() {
            connection.set_portal(address.to_string());
        }
        Some((Place { sender, inbox, pending, permit }, connection, gate))
    }
}

impl ConnectionLimits {
    /// Half of the descriptors that this process may have are for connections, as many as are of use.
    pub(super) fn of_process() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = MAX_SESSIONS + MAX_PENDING_LOGINS + MAX_ENDING;
        let connections = usize::try_from(descriptors / 2).unwrap_or(usize::MAX).clamp(4, most);
        let pending = MAX_PENDING_LOGINS.min(connections / 4);
        let sessions = MAX_SESSIONS.min(connections - 2 * pending);
        Self { connections, pending, sessions }
    }
}
