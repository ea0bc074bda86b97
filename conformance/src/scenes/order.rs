//! Order of messages and acknowledgements: hard cases B, and the statements of section 4.6.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::scenes;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::Stage;

scenes! {
    both resume_keeps_the_order_of_the_first_sending "B01" "4.6.0-1 4.4.0-1" "4.6.0-1 4.4.0-1 3.2.0-1";
    both live_publishes_during_a_replay_stay_behind_it "B02" "4.6.0-6 3.1.2-5" "4.6.0-5 4.5.0-1";
    both each_qos_keeps_its_own_order "B03" "4.6.0-5 4.6.0-6" "4.6.0-5 4.6.0-6";
    both acknowledgements_leave_in_arrival_order "B04" "4.6.0-2 4.6.0-3" "4.6.0-2 4.6.0-3";
    both pubrels_follow_the_order_of_pubrecs "B05" "4.6.0-4" "4.6.0-4";
    both publisher_that_moves_its_connection_keeps_order "B06" "4.6.0-6" "4.6.0-5";
    both publish_after_suback_is_delivered "B07" "3.8.4-1 4.5.0-1" "3.8.4-1 4.5.0-1";
    both publish_after_unsuback_is_not_delivered "B08" "3.10.4-2" "3.10.4-2";
    both many_publishers_keep_their_sequences "" "4.6.0-6" "4.6.0-5";
    both ten_open_deliveries_come_again_in_order "" "4.6.0-1" "4.6.0-1";
}

/// In flight: 1 with PUBREL owed, 2 and 3; queued: 4 and 5. The resume brings them in this order, then 6.
fn resume_keeps_the_order_of_the_first_sending(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for number in 1..=3 {
        publisher.deliver(&numbered(&topic, number).qos(2))?;
    }
    let first = subscriber.message_of("1")?;
    let second = subscriber.message_of("2")?;
    let third = subscriber.message_of("3")?;
    subscriber.pubrec(first.id);
    subscriber.expect_pubrel(first.id)?;
    subscriber.cut();
    for number in 4..=5 {
        publisher.deliver(&numbered(&topic, number).qos(2))?;
    }

    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    subscriber.expect_pubrel(first.id)?;
    for before in [second, third] {
        let again = subscriber.message()?;
        same("the same PUBLISH with DUP 1:", &again, &before.dup())?;
    }
    for number in 4..=5 {
        let queued = subscriber.message_of(number.to_string())?;
        ensure(!queued.dup, "DUP 0 for a message never sent before", &queued)?;
    }
    publisher.deliver(&numbered(&topic, 6).qos(2))?;
    subscriber.message_of("6").map(drop)
}

/// A backlog of 10,000 is replayed while 2,000 more are published: one sequence without gap.
fn live_publishes_during_a_replay_stay_behind_it(stage: &Stage<'_>) -> Check {
    const BACKLOG: u64 = 10_000;
    const LIVE: u64 = 2_000;
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&topic, 1)?;
    subscriber.cut();
    let mut publisher = stage.connect("pub")?;
    publish_numbers(&mut publisher, &topic, 0..BACKLOG)?;
    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    let mut published = BACKLOG;
    for number in 0..BACKLOG + LIVE {
        if number % 50 == 0 && published < BACKLOG + LIVE {
            publish_numbers(&mut publisher, &topic, published..published + 10)?;
            published += 10;
        }
        let message = subscriber.take()?;
        same("number of the delivery", &message.number(), &number)?;
    }
    subscriber.quiet()
}

/// QoS 0, 1 and 2 mixed on one topic: each QoS arrives in its own order.
fn each_qos_keeps_its_own_order(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..60_u64 {
        publisher.deliver(&numbered(&topic, number).qos((number % 3) as u8))?;
    }
    let mut last = [None; 3];
    for _ in 0..60 {
        let message = subscriber.take()?;
        let last = &mut last[usize::from(message.qos)];
        ensure(*last < Some(message.number()), format!("a number above {last:?}"), &message)?;
        *last = Some(message.number());
    }
    subscriber.quiet()
}

/// A burst over topics with and without durable subscribers, retained or not: acks in the order of the burst.
fn acknowledgements_leave_in_arrival_order(stage: &Stage<'_>) -> Check {
    let durable = stage.topic("durable");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&durable, 2)?;
    let mut publisher = stage.connect("pub")?;
    // A foreign broker may bound what a 3.1.1 client has open, and has no way to say so.
    let length = if stage.settings.lenient { 20 } else { 100 };
    for qos in [1, 2] {
        let burst: Vec<Message> =
            (1..=length).map(|id| burst_message(stage, &durable, id).qos(qos)).collect();
        publisher.publish_all(&burst);
        for message in &burst {
            let came = publisher.next()?;
            let id = match &came {
                Arrival::PubAck(ack) if qos == 1 => ack.id,
                Arrival::PubRec(ack) if qos == 2 => ack.id,
                other => return Err(publisher.differs("PUBACK or PUBREC", other)),
            };
            same("id of the next acknowledgement", &id, &message.id)?;
        }
        if qos == 2 {
            for message in &burst {
                publisher.pubrel(message.id);
                publisher.expect_pubcomp(message.id)?;
            }
        }
    }
    Ok(())
}

/// PUBRECs in the order 3, 1, 2 are answered by PUBRELs 3, 1, 2.
fn pubrels_follow_the_order_of_pubrecs(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for number in 1..=3 {
        publisher.deliver(&numbered(&topic, number).qos(2))?;
    }
    let ids =
        [subscriber.message_of("1")?.id, subscriber.message_of("2")?.id, subscriber.message_of("3")?.id];
    let order = [ids[2], ids[0], ids[1]];
    for id in order {
        subscriber.pubrec(id);
    }
    for id in order {
        subscriber.expect_pubrel(id)?;
    }
    for id in order {
        subscriber.pubcomp(id);
    }
    subscriber.quiet()
}

/// A publisher bursts, takes its own session over and bursts again: the subscriber never sees a number fall.
fn publisher_that_moves_its_connection_keeps_order(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut old = stage.connect("pub")?;
    let first: Vec<Message> =
        (1..=200).map(|n| numbered(&topic, n).qos(1).id((n % 200 + 1) as u16)).collect();
    old.publish_all(&first);
    let mut new = stage.connect("pub")?;
    let second: Vec<Message> =
        (201..=400).map(|n| numbered(&topic, n).qos(1).id((n % 200 + 1) as u16)).collect();
    new.publish_all(&second);
    for message in &second {
        new.expect_puback(message.id)?;
    }
    let mut last = 0;
    while last < 400 {
        let message = subscriber.take()?;
        ensure(message.number() > last, format!("a number above {last}"), &message)?;
        last = message.number();
    }
    subscriber.quiet()
}

/// Fifty times: what anybody publishes after the SUBACK was seen is delivered.
fn publish_after_suback_is_delivered(stage: &Stage<'_>) -> Check {
    let mut publishers = crowd(stage, "pub")?;
    let mut subscribers = crowd(stage, "sub")?;
    for round in 0..48 {
        let topic = stage.topic(&format!("round/{round}"));
        let subscriber = &mut subscribers[round % 4];
        let qos = (round % 3) as u8;
        subscriber.subscribe(&topic, qos)?;
        publishers[round / 4 % 4].deliver(&Message::new(&topic, "now").qos(qos))?;
        subscriber.take_of("now")?;
    }
    Ok(())
}

/// Fifty times: what anybody publishes after the UNSUBACK was seen is not delivered.
fn publish_after_unsuback_is_not_delivered(stage: &Stage<'_>) -> Check {
    let mut publishers = crowd(stage, "pub")?;
    let mut subscribers = crowd(stage, "sub")?;
    for round in 0..48 {
        let topic = stage.topic(&format!("round/{round}"));
        let subscriber = &mut subscribers[round % 4];
        subscriber.subscribe(&topic, 1)?;
        subscriber.unsubscribe(&topic)?;
        publishers[round / 4 % 4].deliver(&Message::new(&topic, "late").qos(1))?;
    }
    for subscriber in &mut subscribers {
        subscriber.quiet()?;
    }
    Ok(())
}

/// Four publishers at once, each QoS in turn: every publisher's sequence arrives whole and in order.
fn many_publishers_keep_their_sequences(stage: &Stage<'_>) -> Check {
    const EACH: u64 = 300;
    let topic = stage.topic("a");
    for qos in 0..=2 {
        let mut subscriber = stage.subscriber("sub", &topic, 2)?;
        let publishers = crowd(stage, "pub")?;
        let failed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (lane, mut publisher) in (0..).zip(publishers) {
                let (topic, failed) = (&topic, &failed);
                scope.spawn(move || {
                    let mut numbers = (0..EACH).map(|n| numbered(topic, lane * EACH + n).qos(qos));
                    if numbers.any(|message| publisher.deliver(&message).is_err()) {
                        failed.store(true, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(200));
                });
            }
            let mut next: Vec<u64> = (0..4).map(|lane| lane * EACH).collect();
            for _ in 0..4 * EACH {
                let message = subscriber.take()?;
                let lane = (message.number() / EACH) as usize;
                let expected = next.get(lane).copied();
                same("next number of its publisher", &Some(message.number()), &expected)?;
                next[lane] += 1;
            }
            Ok(())
        })?;
        ensure(!failed.load(Ordering::Relaxed), "every publish to be acknowledged", "a failure")?;
        subscriber.disconnect();
    }
    Ok(())
}

/// Ten open deliveries come again in their order, at QoS 1 and at QoS 2.
fn ten_open_deliveries_come_again_in_order(stage: &Stage<'_>) -> Check {
    for qos in [1, 2] {
        let name = format!("sub{qos}");
        let topic = stage.topic(&name);
        let mut subscriber = stage.login(&name).keep().open()?;
        subscriber.subscribe(&topic, qos)?;
        let mut publisher = stage.connect("pub")?;
        for number in 0..10 {
            publisher.deliver(&numbered(&topic, number).qos(qos))?;
        }
        let mut sent = Vec::new();
        for number in 0..10_u64 {
            sent.push(subscriber.message_of(number.to_string())?);
        }
        subscriber.cut();
        let mut subscriber = stage.login(&name).keep().open_with_session(true)?;
        for before in sent {
            same("the same PUBLISH with DUP 1:", &subscriber.message()?, &before.dup())?;
        }
    }
    Ok(())
}

fn numbered(topic: &str, number: u64) -> Message {
    Message::new(topic, number.to_string())
}

fn publish_numbers(publisher: &mut Peer, topic: &str, numbers: std::ops::Range<u64>) -> Check {
    let messages: Vec<Message> = numbers.map(|number| numbered(topic, number)).collect();
    publisher.deliver_all(&messages)
}

/// One message of the burst: kept for somebody, for nobody, or retained.
fn burst_message(stage: &Stage<'_>, durable: &str, id: u16) -> Message {
    match id % 3 {
        0 => Message::new(durable, "kept").id(id),
        1 => Message::new(stage.topic("nobody"), "dropped").id(id),
        _ => Message::new(stage.topic("retained"), "retained").retain().id(id),
    }
}

/// Four clients, so that several of the broker's threads take part.
fn crowd(stage: &Stage<'_>, name: &str) -> Check<Vec<Peer>> {
    (0..4).map(|number| stage.connect(&format!("{name}{number}"))).collect()
}
