use proptest::prelude::*;

use vtl_media::AttributeFormat;

use super::*;
use crate::digest::{Digester, Hash, PartitionDigest};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

pub(super) fn partition(number: u8, tape: &[Option<Vec<u8>>]) -> PartitionDigest {
    let mut digester = Digester::new(number);
    for object in tape {
        match object {
            Some(block) => digester.block(block),
            None => digester.filemark(),
        }
    }
    digester.finish()
}

pub(super) fn manifest_of(tape: &[Option<Vec<u8>>]) -> Manifest {
    Manifest {
        id: Uuid::from_u128(7),
        time: "2026-11-01T02:00:00Z".parse().unwrap(),
        source: Source {
            uuid: Uuid::from_u128(1),
            barcode: "VTL001L9".to_owned(),
            media_type: "lto9".to_owned(),
            generation: 3,
            as_of: Some("2026-11-01T01:59:59.5Z".parse().unwrap()),
            worm: false,
            pool: Some("weekly, \"off-site\"".to_owned()),
            group: None,
        },
        target: Target {
            barcode: Some("VTL001L9".to_owned()),
            medium_serial: Some("0123456789".to_owned()),
            medium_maker: None,
            copy: 1,
        },
        partitions: vec![partition(0, tape), partition(1, &[])],
        attributes: vec![Attribute::new(0, 0x0806, AttributeFormat::Ascii, b"AAAA")],
        attributes_left_out: Vec::new(),
        group_members: Vec::new(),
        stack: None,
        ledger: Some(LedgerPoint { entry: 42, hash: Hash([9; 32]) }),
        operator: "cli uid 0".to_owned(),
        software: "vtl 0.1.0".to_owned(),
        how_to_read: "mt -f /dev/nst0 rewind\n".to_owned(),
    }
}

pub(super) fn proof_of(manifest: &Manifest) -> Proof {
    let drive = DriveIdentity {
        vendor: "IBM".to_owned(),
        product: "ULT3580-TD9".to_owned(),
        revision: "R3G3".to_owned(),
        serial: "1097012345".to_owned(),
    };
    let pass = Pass {
        drive,
        begun: "2026-11-01T02:00:00Z".parse().unwrap(),
        ended: "2026-11-01T02:10:00Z".parse().unwrap(),
        elapsed_ms: 600_000,
        bytes: manifest.partitions.iter().map(|partition| partition.bytes).sum(),
        protection: "crc32c".to_owned(),
        before: Counters::default(),
        after: Counters { corrected: Some(3), uncorrected: Some(0), tape_alerts: vec![] },
    };
    Proof {
        time: "2026-11-01T02:30:00Z".parse().unwrap(),
        written: pass.clone(),
        read: pass,
        partitions: manifest.partitions.clone(),
        attributes: None,
        is_equal: true,
        mismatches: Vec::new(),
        not_checked: vec!["reading in another drive".to_owned()],
        operator: "cli uid 0".to_owned(),
    }
}

pub(super) fn tape() -> Vec<Option<Vec<u8>>> {
    vec![Some(b"label".to_vec()), None, Some(vec![7; 300]), Some(vec![8; 20]), None, None]
}

fn proved() -> Receipt {
    let manifest = manifest_of(&tape());
    let proof = proof_of(&manifest);
    Receipt::manifested(manifest, &key(1)).unwrap().proved(proof, &key(1)).unwrap()
}

#[test]
fn what_was_signed_is_what_is_read() {
    let receipt = proved();
    let verified = Receipt::verify(receipt.to_bytes(), Some(&key(1).public())).unwrap();
    assert_eq!(&verified, receipt.content());
    assert_eq!(verified.manifest, manifest_of(&tape()));
    assert_eq!(verified.proof, Some(proof_of(&verified.manifest)));
    // The file is JSON for whoever only wants to look into it.
    let value: serde_json::Value = serde_json::from_slice(receipt.to_bytes()).unwrap();
    assert_eq!(value["manifest"]["source"]["barcode"], "VTL001L9");
}

#[test]
fn a_manifest_alone_is_sound_and_proves_nothing() {
    let receipt = Receipt::manifested(manifest_of(&tape()), &key(1)).unwrap();
    let verified = Receipt::verify(receipt.to_bytes(), None).unwrap();
    assert_eq!(verified.proof, None);
    // The second phase may come in another process, from the file.
    let again = Receipt::read(receipt.to_bytes(), None).unwrap();
    let proof = proof_of(&again.content().manifest);
    assert_eq!(again.proved(proof, &key(1)).unwrap(), proved());
}

#[test]
fn no_byte_can_be_changed_taken_away_or_added() {
    for file in [
        proved().to_bytes().to_vec(),
        Receipt::manifested(manifest_of(&tape()), &key(1)).unwrap().to_bytes().to_vec(),
    ] {
        assert!(Receipt::verify(&file, None).is_ok());
        let mut changed = file.clone();
        for (at, original) in file.iter().enumerate() {
            let others =
                [original ^ 1, original ^ 0x20, original.wrapping_add(1), b' ', b'\n', b'0', 0];
            for other in others.into_iter().filter(|other| other != original) {
                changed[at] = other;
                let result = Receipt::verify(&changed, None);
                assert!(
                    result.is_err(),
                    "byte {at} may be {other:#04x} in place of {original:#04x}"
                );
            }
            changed[at] = *original;
            let mut shorter = file.clone();
            shorter.remove(at);
            assert!(Receipt::verify(&shorter, None).is_err(), "byte {at} may be missing");
            for added in [b' ', b'\n', *original] {
                let mut longer = file.clone();
                longer.insert(at, added);
                assert!(Receipt::verify(&longer, None).is_err(), "there may be a byte before {at}");
            }
            assert!(Receipt::verify(&file[..at], None).is_err(), "it may be cut at {at}");
        }
        for tail in ["\n", " ", "{}", "\0"] {
            let longer = [&file, tail.as_bytes()].concat();
            assert!(Receipt::verify(&longer, None).is_err(), "{tail:?} may follow");
        }
    }
}

#[test]
fn the_receipt_of_another_key_is_refused() {
    let receipt = proved();
    let refused = Receipt::verify(receipt.to_bytes(), Some(&key(2).public())).unwrap_err();
    assert!(matches!(refused, ReceiptError::OtherKey { .. }), "{refused}");
}

#[test]
fn a_key_that_is_replaced_between_the_phases_does_no_harm() {
    let manifest = manifest_of(&tape());
    let proof = proof_of(&manifest);
    let receipt = Receipt::manifested(manifest, &key(1)).unwrap().proved(proof, &key(2)).unwrap();
    assert!(Receipt::verify(receipt.to_bytes(), Some(&key(2).public())).is_ok());
    assert!(Receipt::verify(receipt.to_bytes(), Some(&key(1).public())).is_err());
}

#[test]
fn proofs_of_two_copies_cannot_be_swapped() {
    let one = proved();
    let mut other = manifest_of(&tape());
    (other.id, other.target.copy) = (Uuid::from_u128(8), 2);
    let proof = proof_of(&other);
    let other = Receipt::manifested(other, &key(1)).unwrap().proved(proof, &key(1)).unwrap();
    let halves = |receipt: &Receipt| {
        let text = std::str::from_utf8(receipt.to_bytes()).unwrap().to_owned();
        let at = text.find("\"manifest_sha256\"").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let ((first, proof), (second, other_proof)) = (halves(&one), halves(&other));
    for mixed in [first + &other_proof, second + &proof] {
        let refused = Receipt::verify(mixed.as_bytes(), None).unwrap_err();
        assert!(matches!(refused, ReceiptError::Altered(_)), "{refused}");
    }
}

/// Receipts of before have no word of formats, partitions and what was left out: not one byte of theirs may be written otherwise now.
#[test]
fn receipts_of_earlier_versions_are_what_they_were() {
    let mut manifest = manifest_of(&tape());
    manifest.attributes = vec![Attribute { format: None, ..manifest.attributes.remove(0) }];
    let receipt = Receipt::manifested(manifest.clone(), &key(1)).unwrap();
    let receipt = receipt.proved(proof_of(&manifest), &key(1)).unwrap();
    let text = std::str::from_utf8(receipt.to_bytes()).unwrap();
    assert!(
        text.contains(r#""attributes":[{"identifier":2054,"value":"41414141"}],"group_members""#)
    );
    assert!(!text.contains("left_out") && text.matches("attributes").count() == 1, "{text}");
    assert_eq!(Receipt::verify(receipt.to_bytes(), None).unwrap().manifest, manifest);
}

/// The content is right and the memory is another one.
#[test]
fn a_proof_of_other_attributes_is_none() {
    let manifest = manifest_of(&tape());
    for (found, is_proof) in
        [(None, true), (Some(manifest.attributes.clone()), true), (Some(Vec::new()), false)]
    {
        let receipt = Receipt::manifested(manifest.clone(), &key(1)).unwrap();
        let proof = Proof { attributes: found, ..proof_of(&manifest) };
        assert_eq!(receipt.proved(proof, &key(1)).is_ok(), is_proof);
    }
}

#[test]
fn no_receipt_without_proof() {
    let manifest = manifest_of(&tape());
    let receipt = || Receipt::manifested(manifest.clone(), &key(1)).unwrap();
    let good = proof_of(&manifest);
    let found =
        Mismatch { partition: 0, section: 1, first_object: 2, what: "sha256 differs".to_owned() };
    let mut other_tape = tape();
    other_tape[0] = Some(b"lebel".to_vec());
    let bad = [
        Proof { is_equal: false, ..good.clone() },
        Proof { mismatches: vec![found], ..good.clone() },
        Proof { partitions: Vec::new(), ..good.clone() },
        Proof { partitions: manifest_of(&other_tape).partitions, ..good.clone() },
        Proof { partitions: good.partitions[..1].to_vec(), ..good.clone() },
    ];
    for proof in bad {
        let refused = receipt().proved(proof, &key(1)).unwrap_err();
        assert!(matches!(refused, ReceiptError::NotEqual { .. }), "{refused}");
    }
    let twice = receipt().proved(good.clone(), &key(1)).unwrap().proved(good, &key(1));
    assert!(matches!(twice, Err(ReceiptError::ProvedAlready(_))));
}

#[test]
fn sums_that_are_none_are_not_signed() {
    let mut wrong = Vec::new();
    wrong.extend([manifest_of(&tape()), manifest_of(&tape()), manifest_of(&tape())]);
    wrong[0].partitions[0].bytes += 1;
    wrong[1].partitions[0].root = Hash([1; 32]);
    wrong[2].partitions.clear();
    for manifest in wrong {
        assert_eq!(Receipt::manifested(manifest, &key(1)), Err(ReceiptError::WrongSums));
    }
}

/// A receipt that says something else, signed as if it were right: the owner of the key is a program, which can have errors.
fn forged(change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let text = String::from_utf8(proved().to_bytes().to_vec()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let proof = lines[5].strip_prefix("\"proof\":").unwrap().trim_end_matches(',').to_owned();
    let mut proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
    change(&mut proof);
    lines[5] = format!("\"proof\":{proof},");
    let signed = lines[..7].join("\n") + "\n";
    let signature = crate::hex::encode(&key(1).sign(signed.as_bytes()).unwrap());
    format!("{signed}\"proof_signature\":\"{signature}\"}}\n").into_bytes()
}

#[test]
fn a_signature_makes_nothing_right_that_is_wrong() {
    assert_eq!(forged(|_| {}), proved().to_bytes());
    let changes: [fn(&mut serde_json::Value); 5] = [
        |proof| proof["is_equal"] = false.into(),
        |proof| proof["partitions"] = serde_json::json!([]),
        |proof| proof["partitions"][0]["sections"][0]["crc32c"] = 1.into(),
        |proof| proof["more"] = 1.into(),
        |proof| {
            let found =
                serde_json::json!({"partition": 0, "section": 0, "first_object": 0, "what": "x"});
            proof["mismatches"] = serde_json::json!([found]);
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(Receipt::verify(&forged(change), None).is_err(), "change {number}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let newer = String::from_utf8(proved().to_bytes().to_vec()).unwrap();
    let newer = newer.replacen("vtl-receipt-1", "vtl-receipt-23", 1);
    let verify = |bytes: &[u8]| Receipt::verify(bytes, None).unwrap_err();
    assert_eq!(verify(newer.as_bytes()), ReceiptError::Newer("23".to_owned()));
    for other in ["", "{}", "%PDF-1.7", "{\"format\":\"vtl-receipt-0\",\n"] {
        assert_eq!(verify(other.as_bytes()), ReceiptError::NotAReceipt, "{other}");
    }
    assert!(matches!(verify(b"\xff\xfe"), ReceiptError::Altered(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is on the tape and whatever people call their things: the file is read back as it was written, and nothing near it is.
    #[test]
    fn any_receipt_survives_and_none_beside_it(
        tape in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)), 0..12),
        words in ".{0,20}",
        at in any::<proptest::sample::Index>(),
        other in any::<u8>(),
    ) {
        let mut manifest = manifest_of(&tape);
        (manifest.operator, manifest.source.group) = (words.clone(), Some(words));
        let proof = proof_of(&manifest);
        let receipt = Receipt::manifested(manifest, &key(1)).unwrap().proved(proof, &key(1)).unwrap();
        let mut bytes = receipt.to_bytes().to_vec();
        prop_assert_eq!(&Receipt::verify(&bytes, None).unwrap(), receipt.content());
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != other);
        bytes[at] = other;
        prop_assert!(Receipt::verify(&bytes, None).is_err());
    }

    #[test]
    fn no_file_makes_it_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..300), is_begun in any::<bool>()) {
        let start: &[u8] = if is_begun { b"{\"format\":\"vtl-receipt-1\",\n\"manifest\":" } else { b"" };
        prop_assert!(Receipt::verify(&[start, &bytes].concat(), None).is_err());
    }
}
