//! Which targets there are, and which logical units each of them shows.

use std::sync::Arc;

use serde::Deserialize;
use vtl_media::LibraryId;
use vtl_scsi::Lun;

use crate::library::Library;

/// How logical units are spread over targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// A library is one target: LUN 0 is the changer, and the drives follow.
    #[default]
    PerLibrary,
    /// The changer is a target, and each drive one of its own; each is LUN 0 there.
    PerDevice,
}

/// What initiators log in to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its iSCSI name.
    pub(crate) name: String,
    /// What people read beside it.
    pub(crate) alias: String,
    pub(crate) library: Arc<Library>,
    pub(crate) view: View,
}

/// Which of a library's logical units a target shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// All, under their own numbers.
    All,
    /// One, as LUN 0.
    Only(Lun),
}

impl View {
    /// Whether it shows a logical unit of the library.
    pub(crate) fn shows(self, lun: Lun) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == lun,
        }
    }

    /// The library's logical unit behind a number that an initiator uses.
    pub(crate) fn inside(self, lun: Lun) -> Option<Lun> {
        match self {
            Self::All => Some(lun),
            Self::Only(only) => (lun == Lun(0)).then_some(only),
        }
    }

    /// The number that initiators use for a logical unit that it shows.
    pub(crate) fn outside(self, lun: Lun) -> Lun {
        match self {
            Self::All => lun,
            Self::Only(_) => Lun(0),
        }
    }
}

/// The targets of these libraries. The name of a library's own target never changes: it is that of its changer where each device has one.
pub(crate) fn targets(libraries: &[Arc<Library>], layout: Layout) -> Vec<Target> {
    libraries.iter().flat_map(|library| of_library(library, layout)).collect()
}

fn of_library(library: &Arc<Library>, layout: Layout) -> Vec<Target> {
    let LibraryId(id) = &library.record.id;
    let target = |name: String, device: &str, view| Target {
        name,
        alias: format!("vtl {id}{device}"),
        library: Arc::clone(library),
        view,
    };
    let own = library.record.iqn.clone();
    match layout {
        Layout::PerLibrary => vec![target(own, "", View::All)],
        Layout::PerDevice => {
            let drives = (0_u16..).zip(&library.record.drives).map(|(number, _)| {
                let name = format!("{own}.drive{number}");
                target(name, &format!(" drive {number}"), View::Only(Lun(number + 1)))
            });
            let changer = target(own.clone(), " changer", View::Only(Lun(0)));
            std::iter::once(changer).chain(drives).collect()
        }
    }
}
