//! A receipt of a tape that there never was.

use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::AttributeFormat;
use vtl_tools::random::Random;
use vtl_vault::receipt::{LeftOut, Receipt, SigningKey};
use vtl_vault::{
    Attribute, Counters, Digester, DriveIdentity, Hash, LedgerPoint, Manifest, PartitionDigest,
    Pass, Proof, Source, StackMember, StackPlace, Target,
};

/// One in eight has no proof; one in eight is signed with two keys.
pub(crate) fn receipt(random: &mut Random) -> anyhow::Result<Receipt> {
    let manifest = manifest(random);
    let proof = proof(&manifest, random);
    let (first, second) = (key(random)?, key(random)?);
    let receipt = Receipt::manifested(manifest, &first)?;
    if random.percent(12) {
        return Ok(receipt);
    }
    let signer = if random.percent(12) { second } else { first };
    Ok(receipt.proved(proof, &signer)?)
}

/// One in four is on a tape with others.
fn stack(random: &mut Random) -> Option<StackPlace> {
    random.percent(25).then(|| StackPlace {
        position: 1 + random.below(3),
        first_file: 1 + random.below(1000),
        files: 1 + random.below(9),
        members: (0..3)
            .map(|_| StackMember { barcode: words(random), uuid: uuid(random), copy: uuid(random) })
            .collect(),
        index_sha256: Hash([u8::try_from(random.below(256)).unwrap_or(0); 32]),
    })
}

fn key(random: &mut Random) -> anyhow::Result<SigningKey> {
    let mut seed = [0; 32];
    seed.copy_from_slice(&random.bytes(32));
    Ok(SigningKey::from_seed(&seed)?)
}

fn manifest(random: &mut Random) -> Manifest {
    let partitions = 1 + u8::try_from(random.below(3)).unwrap_or(0);
    Manifest {
        id: uuid(random),
        time: time(random),
        source: Source {
            uuid: uuid(random),
            barcode: format!("R{:05}L9", random.below(100_000)),
            media_type: "lto9".to_owned(),
            generation: u32::try_from(random.below(1000)).unwrap_or(0),
            as_of: random.percent(50).then(|| time(random)),
            worm: random.percent(10),
            pool: random.percent(50).then(|| words(random)),
            group: random.percent(50).then(|| words(random)),
        },
        target: Target {
            barcode: random.percent(80).then(|| words(random)),
            medium_serial: random.percent(80).then(|| words(random)),
            medium_maker: random.percent(80).then(|| words(random)),
            copy: 1 + u32::try_from(random.below(5)).unwrap_or(0),
        },
        partitions: (0..partitions).map(|number| partition(number, random)).collect(),
        attributes: (0..random.below(4))
            .map(|number| Attribute {
                identifier: 0x0800 + u16::try_from(number).unwrap_or(0),
                partition: u8::from(random.percent(10)),
                format: random.percent(50).then_some(AttributeFormat::Ascii),
                value: format!("{:016x}", random.next()),
            })
            .collect(),
        attributes_left_out: (0..random.below(3))
            .map(|number| LeftOut {
                identifier: 0x0808 + u16::try_from(number).unwrap_or(0),
                partition: u8::from(random.percent(10)),
                why: words(random),
            })
            .collect(),
        group_members: (0..random.below(4)).map(|_| words(random)).collect(),
        stack: stack(random),
        ledger: random
            .percent(80)
            .then(|| LedgerPoint { entry: random.next(), hash: hash(random) }),
        operator: words(random),
        software: words(random),
        how_to_read: words(random),
    }
}

fn partition(number: u8, random: &mut Random) -> PartitionDigest {
    let mut digester = Digester::new(number);
    for _ in 0..random.below(40) {
        if random.percent(30) {
            digester.filemark();
        } else {
            let length = random.index(100);
            digester.block(&random.bytes(length));
        }
    }
    digester.finish()
}

fn proof(manifest: &Manifest, random: &mut Random) -> Proof {
    Proof {
        time: time(random),
        written: pass(random),
        read: pass(random),
        partitions: manifest.partitions.clone(),
        attributes: random.percent(50).then(|| manifest.attributes.clone()),
        is_equal: true,
        mismatches: Vec::new(),
        not_checked: (0..random.below(3)).map(|_| words(random)).collect(),
        operator: words(random),
    }
}

fn pass(random: &mut Random) -> Pass {
    Pass {
        drive: DriveIdentity {
            vendor: words(random),
            product: words(random),
            revision: words(random),
            serial: words(random),
        },
        begun: time(random),
        ended: time(random),
        elapsed_ms: random.next(),
        bytes: random.next(),
        protection: "crc32c".to_owned(),
        before: Counters::default(),
        after: Counters {
            corrected: random.percent(50).then(|| random.next()),
            uncorrected: random.percent(50).then_some(0),
            tape_alerts: random.bytes(2),
        },
    }
}

fn uuid(random: &mut Random) -> Uuid {
    Uuid::from_u64_pair(random.next(), random.next())
}

fn hash(random: &mut Random) -> Hash {
    let mut hash = Hash::default();
    hash.0.copy_from_slice(&random.bytes(32));
    hash
}

fn time(random: &mut Random) -> Timestamp {
    let seconds = i64::try_from(random.below(4_000_000_000)).unwrap_or(0);
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// What people write, and what nobody should.
fn words(random: &mut Random) -> String {
    const PARTS: [&str; 12] =
        ["tape", "\"", "\\", "\n", "\u{0}", "é", "–", "😀", "{}", ",", "\u{7f}", "\u{2028}"];
    (0..random.below(6)).filter_map(|_| random.pick(&PARTS)).collect()
}
