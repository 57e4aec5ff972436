//! The control socket: bodies that are no requests, nearly requests, and requests that make no sense.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use vtl_tests::{Scene, noise};

const REQUESTS: u64 = 600;
/// What 600 requests, whatever is in them, may add to the daemon's memory.
const MAX_GROWTH_BYTES: u64 = 64 << 20;

/// Bodies that mean something.
const BODIES: [&str; 15] = [
    r#"{"operation":"status"}"#,
    r#"{"operation":"inventory","pattern":"VTL0*","sort":"-barcode","older_than":"30d"}"#,
    r#"{"operation":"tape-create","barcodes":[],"count":2,"prefix":"ZZ","media_type":"lto9","capacity":"100MiB"}"#,
    r#"{"operation":"tape-show","barcodes":["VTL001L9"]}"#,
    r#"{"operation":"tape-eject","barcodes":["VTL002L9"],"to":null}"#,
    r#"{"operation":"tape-insert","barcodes":["VTL002L9"],"to":"slot:2"}"#,
    r#"{"operation":"tape-delete","barcodes":["VTL003L9"],"force":false}"#,
    r#"{"operation":"move","from":"slot:5","to":"drive:0"}"#,
    r#"{"operation":"load","barcode":"VTL006L9","drive":1}"#,
    r#"{"operation":"unload","drive":1}"#,
    r#"{"operation":"catalog-check"}"#,
    r#"{"operation":"audit-list","limit":3,"barcode":"VTL001L9"}"#,
    r#"{"operation":"audit-verify"}"#,
    r#"{"operation":"trace","unit":"drive:0","failures":true,"count":3,"after":1}"#,
    r#"{"operation":"inventory","location":"mail","state":"empty","group":"g","pool":"p"}"#,
];
/// Values that go where others are expected.
const VALUES: [&str; 16] = [
    "null",
    "true",
    "-1",
    "0",
    "4294967295",
    "1e308",
    "99999999999999999999",
    "\"\"",
    "\"../../etc\"",
    "\"slot:0\"",
    "\"drive:4294967296\"",
    "\"VTL001L9\"",
    "[]",
    "{}",
    "\"\\u0000\"",
    "[[[[[[[[]]]]]]]]",
];

#[test]
fn bodies_of_all_kinds() {
    let mut scene = Scene::new();
    let before = resident_bytes(scene.daemon().pid());
    for number in 0..REQUESTS {
        let body = body(number);
        let status = post(&scene.data(), &body);
        assert!(
            matches!(status, 200..=299 | 400..=499 | 500),
            "{status} for {:?}",
            String::from_utf8_lossy(&body)
        );
    }
    let growth = resident_bytes(scene.daemon().pid()).saturating_sub(before);
    assert!(growth < MAX_GROWTH_BYTES, "{} MiB more than before", growth >> 20);
    scene.assert_serves();
    scene.daemon().vtl(&["audit", "verify"]).done();
    scene.daemon().vtl(&["catalog", "check"]).done();
    let (status, log) = scene.take_daemon().end(Signal::TERM, Duration::from_secs(20));
    assert!(status.success() && !log.contains("panicked"), "{log}");
}

#[test]
fn a_body_that_is_too_long_or_never_comes() {
    let mut scene = Scene::new();
    assert_eq!(post(&scene.data(), &vec![b' '; 2 << 20]), 413);
    // Many that announce a body and send nothing hold nobody up.
    let silent: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(&scene.data());
            stream.write_all(head(1_000_000).as_bytes()).unwrap();
            stream
        })
        .collect();
    scene.assert_serves();
    drop(silent);
}

/// One of the bodies, with something about it changed; what is changed follows from the number.
fn body(number: u64) -> Vec<u8> {
    let mut random = noise(number, 64).into_iter().map(usize::from);
    let mut next = move || random.next().unwrap_or(0);
    let mut body = BODIES[next() % BODIES.len()].to_owned();
    let mut bytes = match next() % 6 {
        0 => body.into_bytes(),
        1 | 2 => {
            // Another value behind one of the colons.
            let colons: Vec<_> = body.match_indices(':').map(|(at, _)| at + 1).collect();
            let start = colons[next() % colons.len()];
            let end = body[start..].find([',', '}']).map_or(body.len(), |length| start + length);
            body.replace_range(start..end, VALUES[next() % VALUES.len()]);
            body.into_bytes()
        }
        3 => {
            let mut bytes = body.into_bytes();
            bytes.truncate(next() % bytes.len());
            bytes
        }
        4 => {
            let mut bytes = body.into_bytes();
            for _ in 0..=next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = u8::try_from(next() % 256).unwrap();
            }
            bytes
        }
        _ => noise(number + 1_000_000, next()),
    };
    // Nesting deeper than any parser's stack should follow.
    if number % 50 == 49 {
        bytes = vec![b'['; 100_000];
    }
    bytes
}

fn connect(data: &Path) -> UnixStream {
    let stream = UnixStream::connect(data.join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn head(length: usize) -> String {
    format!(
        "POST /api/request HTTP/1.1\r\nHost: vtl\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// The status of the answer.
fn post(data: &Path, body: &[u8]) -> u16 {
    let mut stream = connect(data);
    stream.write_all(head(body.len()).as_bytes()).unwrap();
    // A body that is refused for its length is not taken to its end.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {text:?}, {sent:?}, {read:?}"))
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
