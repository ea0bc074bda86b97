//! A message for more receivers than one turn serves.

use longwire_broker::limits::{FAN_OUT_PER_TURN, Limits};
use longwire_proto::{QoS, Version};

use longwire_sim::client::{Client, FLEETING, Got, Outgoing};
use longwire_sim::world::World;

#[test]
fn a_wide_fan_out_keeps_the_order_of_each_receiver() {
    let world = &mut World::new(2, &Limits::default());
    let mut subscribers: Vec<Client> = (0..2 * FAN_OUT_PER_TURN + 100)
        .map(|n| {
            let mut client = Client::new(&format!("subscriber-{n}"), Version::V311);
            client.connect(world, FLEETING);
            client.subscribe(world, 1, "t/all", QoS::AtLeastOnce);
            if n % 1_000 == 0 {
                client.subscribe(world, 2, "t/few", QoS::AtLeastOnce);
            }
            client
        })
        .collect();
    world.run_all();
    for subscriber in &mut subscribers {
        subscriber.received(world);
    }
    let mut publisher = Client::new("publisher", Version::V311);
    publisher.connect(world, FLEETING);
    for n in 1..=6_u16 {
        // Every second one has few receivers, and must not overtake on its shorter way.
        let topic = if n % 2 == 0 { "t/few" } else { "t/all" };
        publisher.publish(
            world,
            Outgoing {
                topic,
                payload: &n.to_string(),
                qos: QoS::AtLeastOnce,
                retain: n % 3 == 0,
                dup: false,
                packet_id: n,
            },
        );
    }
    world.run_all();
    for (n, subscriber) in subscribers.iter_mut().enumerate() {
        let seen: Vec<String> = subscriber
            .received(world)
            .into_iter()
            .map(|got| match got {
                Got::Publish(delivery) => delivery.payload,
                other => panic!("{other:?}"),
            })
            .collect();
        let expected: &[&str] =
            if n % 1_000 == 0 { &["1", "2", "3", "4", "5", "6"] } else { &["1", "3", "5"] };
        assert_eq!(seen, expected, "subscriber {n}");
    }
    assert_eq!(publisher.received(world).len(), 7, "CONNACK and six PUBACKs");
}
