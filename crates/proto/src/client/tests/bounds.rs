//! What holds for any input and any load.

use super::*;

/// The output stops at its soft bound, and goes on when it was taken.
#[test]
fn a_long_queue_is_encoded_in_portions() {
    let payload = "x".repeat(1_000);
    let mut scene = Scene::new(Settings::default());
    for _ in 0..200 {
        let publication =
            Publication { payload: payload.as_bytes(), ..publication("t", "", QoS::AtMostOnce) };
        scene.client.publish(0, &publication).expect("accepted");
    }
    scene.accept(false, &[]);
    assert!(scene.client.output().len() < OUTPUT_SOFT_MAX + 2_000);
    assert!(scene.client.unfinished_len() > 100);
    assert_eq!(scene.seen().len(), 201);
    assert_eq!(scene.client.unfinished_len(), 0);
}

/// Whatever bytes come, the client neither panics nor writes after it has left.
#[test]
fn noise_is_survived() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    let packets = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(2_000) });
    let outcome = runner.run(&(packets, any::<bool>()), |(packets, v5)| {
        let settings = if v5 { durable() } else { v311() };
        let mut scene = Scene::online_with(settings, &[]);
        scene.publish("a", QoS::AtLeastOnce);
        scene.publish("b", QoS::ExactlyOnce);
        scene.subscribe(&["s"]);
        scene.seen();
        for mut packet in packets {
            // Mostly plausible types and true lengths, or nothing gets past the first byte.
            if let [first, second, ..] = packet.as_mut_slice() {
                *first = (*first % 16) << 4 | u8::from(*first >> 4 == 6) << 1;
                *second = 0;
                packet[1] = (packet.len() - 2) as u8;
            }
            scene.bytes(&packet);
            if scene.is_over() {
                scene.seen();
                scene.bytes(&packet);
                prop_assert!(scene.client.output().is_empty());
                scene.client.transport_closed();
                scene.accept(v5, &[]);
            }
            scene.events();
        }
        Ok(())
    });
    outcome.expect("no input is too strange");
}
