//! Which sessions there are, without a connection beneath them.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use vtl_iscsi::{CloseReason, Isid, LoginReady, LoginStatus};
use vtl_scsi::{BufferPool, Rights};

use super::*;
use crate::access::{self, Gate};
use crate::portal::{OpenSession, Portal};
use crate::session::{self, Message};
use crate::targets::{Layout, View};

const HOST: &str = "iqn.2026-11.example:host";
const LIMIT: Duration = Duration::from_secs(20);

/// A portal, and what connections ask of it.
struct Door {
    portal: Arc<Portal>,
    gate: Gate,
}

/// What reaches a connection. As a connection does, it holds a sender itself: it does not end because everybody has forgotten it.
struct Inbox {
    messages: UnboundedReceiver<Message>,
    _own: UnboundedSender<Message>,
}

impl Door {
    fn new() -> Arc<Self> {
        let store = store(Arc::new(MemoryDisk::new()));
        store.initialize(LibrarySpec::default()).unwrap();
        let library = Arc::new(Library::offline(Arc::new(store), Arc::default()).unwrap());
        let door = access::Door {
            target: library.record.iqn.clone(),
            library: library.record.id.clone(),
            view: View::All,
        };
        let gate = Gate::new(Arc::clone(&library.access), vec![door]);
        let portal = Portal::new(library, Layout::default(), BufferPool::new(0));
        Arc::new(Self { portal, gate })
    }

    fn target(&self) -> String {
        self.portal.library().record.iqn.clone()
    }

    fn login(&self, initiator: &str, isid: u8) -> LoginReady {
        LoginReady {
            initiator: initiator.to_owned(),
            isid: Isid([0x80, 0, 0, 0, 0, isid]),
            tsih: 0,
            target: Some(self.target()),
            authenticated: None,
        }
    }

    async fn open(&self, login: &LoginReady) -> Result<(OpenSession, Inbox), LoginStatus> {
        let (sender, messages) = unbounded_channel();
        let open = self.portal.open_session(login, &self.gate, &sender).await?;
        Ok((open, Inbox { messages, _own: sender }))
    }
}

impl Inbox {
    /// Waits until the session is told to go.
    async fn told_to_go(&mut self) {
        while !matches!(self.messages.recv().await, Some(Message::Close(_))) {}
    }
}

/// Logs in, and goes when it is told to.
fn live(door: &Arc<Door>, login: LoginReady) -> JoinHandle<()> {
    let door = Arc::clone(door);
    tokio::spawn(async move {
        let (open, mut inbox) = door.open(&login).await.unwrap();
        inbox.told_to_go().await;
        door.portal.close_session(open).await;
    })
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("in time") });
}

// Two logins that replaced the same session both waited for its end, and then the second was written over the first in the list.
// The first went on, and nobody could reach it any more: it kept its rights after `vtl access remove`, and counted for no limit.
#[test]
fn of_two_logins_in_one_place_none_is_forgotten() {
    run(async {
        let door = Door::new();
        let login = door.login(HOST, 1);
        let (first, mut inbox) = door.open(&login).await.unwrap();
        let later = [live(&door, login.clone()), live(&door, login.clone())];
        inbox.told_to_go().await;
        inbox.told_to_go().await;
        door.portal.close_session(first).await;
        // One of them makes place for the other, and that one can be reached.
        let mut ended = later.map(|live| tokio::spawn(async { live.await.unwrap() }));
        while !ended.iter().any(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        while !ended.iter().all(JoinHandle::is_finished) {
            let close = || Message::Close(CloseReason::AccessRevoked);
            door.portal.tell_others(Some(&door.target()), None, close);
            tokio::task::yield_now().await;
        }
        for end in &mut ended {
            end.await.unwrap();
        }
    });
}

// The limit of sessions of one name did not count those that were written in capitals: an initiator that may use one drive could
// take all 1024 places of the library, and nobody else could log in.
#[test]
fn a_name_in_capitals_has_no_more_places() {
    run(async {
        let door = Door::new();
        let mut sessions = Vec::new();
        for isid in 0..32 {
            sessions.push(door.open(&door.login(HOST, isid)).await.unwrap());
        }
        for name in [HOST, "IQN.2026-11.example:host", "iqn.2026-11.example:HOST"] {
            let refused = door.open(&door.login(name, 99)).await.map(drop);
            assert_eq!(refused, Err(LoginStatus::OUT_OF_RESOURCES), "{name}");
        }
        door.open(&door.login("iqn.2026-11.example:other", 99)).await.unwrap();
    });
}

// Nobody needs a rule for a discovery session where no rule has CHAP: a stranger who opened a thousand of them and left them open took
// every place that there is, and nobody could log in.
#[test]
fn discovery_sessions_do_not_take_all_places() {
    run(async {
        let door = Door::new();
        let discovery = |number: u16| LoginReady {
            initiator: format!("iqn.2026-11.example:{number}"),
            target: None,
            ..door.login(HOST, 1)
        };
        // Those that are told to go and do not.
        let mut stubborn = Vec::new();
        while let Ok(session) = door.open(&discovery(u16::try_from(stubborn.len()).unwrap())).await
        {
            stubborn.push(session);
        }
        assert_eq!(stubborn.len(), 128);
        stubborn[0].1.told_to_go().await;
        door.open(&door.login(HOST, 1)).await.unwrap();
        // As soon as one is gone, somebody else can look.
        let (open, _inbox) = stubborn.remove(0);
        door.portal.close_session(open).await;
        door.open(&discovery(999)).await.unwrap();
    });
}

// A discovery session, for which no rule is needed, took a handle of the first library: strangers could use them up.
#[test]
fn a_discovery_session_takes_no_handle_of_a_nexus() {
    run(async {
        let door = Door::new();
        let discovery = LoginReady { target: None, ..door.login(HOST, 1) };
        let (open, _inbox) = door.open(&discovery).await.unwrap();
        assert_eq!(open.nexus, ItNexus(0));
        let (open, _inbox) = door.open(&door.login("iqn.2026-11.example:other", 1)).await.unwrap();
        assert_eq!(open.nexus, ItNexus(1), "the first handle of this library");
    });
}

// What was to be sent or seen because of the clock was not looked at before the next wait, which then had no limit: a login whose ten
// seconds ended just when something else had woken the connection stayed for ever. A wake-up that moves nothing, as the clock passes, is
// one of two that are picked at random, so that twenty connections meet it.
#[test]
fn a_login_is_over_whatever_has_woken_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..20 {
            let door = Door::new();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            let (place, connection, gate) = door.portal.place(&stream, peer.ip()).unwrap();
            let sender = place.sender.clone();
            let ours = (Arc::clone(&door.portal), gate);
            let mut session = tokio::spawn(session::run(stream, connection, ours, place));
            tokio::task::yield_now().await;
            sender.send(Message::Rights(Rights::default())).unwrap();
            tokio::time::advance(Duration::from_secs(11)).await;
            tokio::time::timeout(LIMIT, &mut session).await.expect("it ends").unwrap();
        }
    });
}
