//! Shared groups whose members come and go on different shards: word of it reaches the group in any order.

use longwire_broker::limits::Limits;
use longwire_proto::encode::AckKind;
use longwire_proto::{QoS, Version};

use longwire_sim::client::{Client, DURABLE, FLEETING, Got, Outgoing, Terms};
use longwire_sim::world::World;

const FILTER: &str = "$share/group/t";

fn client(world: &mut World, home: usize, name: &str, terms: Terms) -> Client {
    let mut client = Client::new(&world.client_id_at(home, name), Version::V5);
    client.connect(world, terms);
    world.run_all();
    client.received(world);
    client
}

/// What a client is delivered and acknowledges at QoS 1, until nothing more comes.
fn delivered(world: &mut World, client: &mut Client) -> Vec<String> {
    let mut payloads = Vec::new();
    loop {
        world.run_all();
        let received = client.received(world);
        if received.is_empty() {
            return payloads;
        }
        for got in received {
            if let Got::Publish(delivery) = got {
                client.ack(world, AckKind::PubAck, delivery.packet_id);
                payloads.push(delivery.payload);
            }
        }
    }
}

fn turn(world: &mut World, shard: usize) {
    let readable = world.wires_of(shard);
    world.begin_turn(shard, usize::MAX, &readable);
    world.end_turn(shard);
}

#[test]
fn a_group_does_not_forget_how_far_it_has_read_while_its_next_member_is_on_the_way() {
    let world = &mut World::new(3, &Limits::default());
    let home = world.home(FILTER);
    let (here, there) = ((home + 1) % 3, (home + 2) % 3);
    let mut old = client(world, here, "old", DURABLE);
    let mut new = client(world, there, "new", DURABLE);
    let publisher = client(world, home, "publisher", FLEETING);
    old.subscribe(world, 1, FILTER, QoS::AtLeastOnce);
    world.run_all();
    let (qos, retain, dup) = (QoS::AtLeastOnce, false, false);
    publisher.publish(world, Outgoing { topic: "t", payload: "one", qos, retain, dup, packet_id: 1 });
    assert_eq!(delivered(world, &mut old), ["one"]);
    // The new member is in the index, and word of it not yet in the mail when the old one leaves.
    new.subscribe(world, 1, FILTER, QoS::AtLeastOnce);
    let readable = world.wires_of(there);
    world.begin_turn(there, usize::MAX, &readable);
    old.unsubscribe(world, 2, FILTER);
    turn(world, here);
    turn(world, home);
    world.end_turn(there);
    world.run_all();
    new.crash(world, 0);
    world.run_all();
    publisher.publish(world, Outgoing { topic: "t", payload: "two", qos, retain, dup, packet_id: 2 });
    world.run_all();
    new.connect(world, DURABLE);
    assert_eq!(delivered(world, &mut new), ["two"], "the first one was delivered and acknowledged");
    new.unsubscribe(world, 2, FILTER);
    world.run_all();
    let groups: usize = world.holdings().iter().map(|holdings| holdings.groups).sum();
    assert_eq!(groups, 0, "the group ends with its last member");
}
