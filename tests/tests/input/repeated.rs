//! The same bad input thousands of times: the hub still serves, and keeps nothing of it.

use tests::raw::{BINARY, PING, Raw, frame, head, upgrade_request};
use tests::{Hub, Via};

use crate::hostile;

const REPEATS: usize = 2_000;
const WARM_UP: usize = 400;
/// KiB.
const GROWTH_MAX: u64 = 4096;

#[tokio::test]
async fn p15_bad_input_leaves_no_memory_and_no_descriptor_behind() {
    let good = upgrade_request(&[]).into_bytes();
    let with = |bytes: Vec<u8>| [good.clone(), bytes].concat();
    for (id, bytes) in [
        ("BH1 head over 8 KiB", upgrade_request(&[("X-Long", &"a".repeat(9000))]).into_bytes()),
        ("BH5 query", b"GET /v1/ws?token=x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("BH14 a body", upgrade_request(&[("Content-Length", "5")]).into_bytes()),
        ("BH16 early frames", with(frame(PING, b"x"))),
        ("garbage", vec![0xa5; 500]),
    ] {
        check(id, &bytes, false).await;
    }
    for (id, bytes) in [
        ("BW1 no mask", [head(BINARY, 3), b"abc".to_vec()].concat()),
        ("BW2 reserved bit", frame(BINARY | 0x40, b"abc")),
        ("BW17 no bytes", frame(BINARY, b"")),
        ("BP1 0xff", frame(BINARY, &[0xff; 64])),
    ] {
        check(id, &bytes, true).await;
    }
}

async fn check(id: &str, bytes: &[u8], upgraded: bool) {
    let hub = hostile::hub().await;
    for _ in 0..WARM_UP {
        throw(&hub, bytes, upgraded).await;
    }
    let (memory, descriptors) = (hostile::memory_kib(&hub), hostile::descriptors(&hub));
    for _ in 0..REPEATS {
        throw(&hub, bytes, upgraded).await;
    }
    hostile::serves(&hub).await;
    let back = || async { (hostile::descriptors(&hub) <= descriptors).then_some(()) };
    tests::deadline::until(tests::PATIENCE, "all descriptors are back", back).await;
    let grown = hostile::memory_kib(&hub).saturating_sub(memory);
    assert!(grown < GROWTH_MAX, "{id}: {REPEATS} times made the hub {grown} KiB larger");
}

async fn throw(hub: &Hub, bytes: &[u8], upgraded: bool) {
    let via = Via::of(hub);
    let mut raw = if upgraded { Raw::upgrade(&via).await } else { Raw::open(&via).await };
    raw.write(bytes).await;
    raw.close_write().await;
    drop(raw.to_end().await);
}
