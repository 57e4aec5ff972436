//! What people and scripts say: requests to the control socket, files of the configuration and of models, and things to be explained.

use bolero::{TypeGenerator, check};
use vtl::fuzzing;
use vtl_fuzz::scene::{self, Request};

#[test]
fn control_bytes() {
    vtl_fuzz::watch();
    check!().for_each(|body| {
        fuzzing::request(body);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

#[test]
fn control_requests() {
    vtl_fuzz::watch();
    let seed = scene::recorded();
    check!().with_type::<(Vec<Request>, bool)>().for_each(|(requests, is_running)| {
        let memory = seed.snapshot();
        let library = fuzzing::Library::open(&memory, scene::DIRECTORY.as_ref(), *is_running);
        for request in requests.iter().take(12) {
            // Most are refused; that is not what is looked for.
            let _ = library.answer(&serde_json::to_vec(&request.body()).unwrap());
        }
        library.close();
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

#[test]
fn requests_are_carried_out() {
    // If none ever was, the target above would try nothing.
    let memory = scene::recorded();
    let library = fuzzing::Library::open(&memory, scene::DIRECTORY.as_ref(), true);
    for body in [
        r#"{"operation":"move","from":"VTL002L9","to":"drive:0"}"#,
        r#"{"operation":"tape-rewind","barcodes":["VTL001L9"],"to":"p4","all":false,"in_place":false}"#,
        r#"{"operation":"snapshot-present","name":"monday","hide":false}"#,
        r#"{"operation":"library-create","name":"west","profile":"ibm-3573-tl","drives":"1","slots":4,"mail":1}"#,
    ] {
        library.answer(body.as_bytes()).unwrap();
    }
    library.close();
}

/// Pieces of a text, and anything in between.
#[derive(Debug, Clone, TypeGenerator)]
enum Piece {
    Known(u8),
    KnownToo(u8),
    Number(u64),
    Raw(String),
}

fn text(pieces: &[Piece], known: &[&str]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Known(index) | Piece::KnownToo(index) => {
                known[usize::from(*index) % known.len()].to_owned()
            }
            Piece::Number(number) => number.to_string(),
            Piece::Raw(raw) => raw.clone(),
        })
        .collect()
}

const CONFIGURATION: &[&str] = &[
    "[iscsi]\n",
    "[drives]\n",
    "[undo]\n",
    "[verify]\n",
    "listen = ",
    "allow-unauthenticated = ",
    "write-buffer-mib = ",
    "keep = ",
    "keep-bytes = ",
    "scrub = ",
    "share = ",
    "\"14d\"\n",
    "\"127.0.0.1:0\"\n",
    "\"20GiB\"\n",
    "\"off\"\n",
    "true\n",
    "\"",
    "\n",
    "-",
    "e9999",
    ".",
    "{",
    "[[",
    "]]",
    "\"\"\"",
    "P9999Y",
    "\\u0000",
];

#[test]
fn configuration() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<Piece>>().for_each(|pieces| {
        fuzzing::configuration(&text(pieces, CONFIGURATION));
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

const PROFILE: &[&str] = &[
    "[library]\n",
    "[[library.pages]]\n",
    "[[drive]]\n",
    "[[drive.pages]]\n",
    "name = ",
    "like = ",
    "vendor = ",
    "product = ",
    "revision = ",
    "elements = { transport = 1, storage = 4096, import-export = 16, drive = 256 }\n",
    "identifier = { form = \"serial\", length = ",
    ", always = false }\n",
    "drives = ",
    "code = 0xc0\n",
    "data = \"08 c0 00 03 41 42 43\"\n",
    "\"acme-x1\"\n",
    "\"ibm-3573-tl\"\n",
    "\"ibm-ult3580-td9\"\n",
    "\"1.00\"\n",
    "code = ",
    "data = ",
    "\"",
    "\n",
    "08 ",
    "ff",
    "é",
];

#[test]
fn profile_file() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<Piece>>().for_each(|pieces| {
        fuzzing::profile(&text(pieces, PROFILE));
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

const EXPLAINED: &[&str] = &[
    "5/24/00",
    "70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 00 00 00",
    "72 05 24 00",
    "73",
    "f0",
    "Sense Key",
    " : ",
    "Illegal Request",
    "Medium Error",
    "ASC",
    "ASCQ",
    "Add. Sense",
    "Additional Sense",
    "CDB: Read(6) ",
    "CDB: ",
    "08 00 01 00 00 00",
    "0x",
    "h",
    " ",
    ",",
    "/",
    "\n",
    "a3 0c",
    "92 ",
    "00 ",
    "ff",
    "7f",
    "é",
    "Ⅷ",
    "=",
    "Filemark detected",
    "sense key ",
];

#[test]
fn explained() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<Piece>>().for_each(|pieces| {
        fuzzing::explain(&text(pieces, EXPLAINED));
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}
