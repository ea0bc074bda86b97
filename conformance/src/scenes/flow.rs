//! Flow control: how many deliveries are open at a time, and what a full window holds back. Hard cases H16 to H18.

use std::time::Duration;

use super::scenes;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::Stage;

scenes! {
    v5 receive_maximum_one_is_strict "H16" "3.3.4-9 4.9.0-1 4.9.0-2";
    v5 window_is_as_large_as_was_asked_for "H16" "3.3.4-9 4.9.0-1 4.9.0-2";
    v5 full_window_holds_back_nothing_else "H16 H18" "3.3.4-10 4.9.0-3 3.12.4-1";
    v311 unacknowledged_deliveries_hold_back_nothing_else "H18" "3.12.4-1";
    v5 resume_with_a_smaller_window "H17 U5-47" "4.4.0-1 4.9.0-1";
}

/// Receive Maximum 1: never two open; PUBREC does not free the slot, PUBCOMP does.
fn receive_maximum_one_is_strict(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.login("sub").receive_maximum(1).open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    let mut publisher = stage.connect("pub")?;
    for (number, qos) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(qos))?;
    }
    for (number, qos) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        let message = subscriber.message_of(number.to_string())?;
        same("QoS", &message.qos, &qos)?;
        subscriber.quiet()?;
        if qos == 1 {
            subscriber.puback(message.id);
        } else {
            subscriber.pubrec(message.id);
            subscriber.expect_pubrel(message.id)?;
            subscriber.quiet()?;
            subscriber.pubcomp(message.id);
        }
    }
    subscriber.quiet()
}

/// Receive Maximum 2, 5 and 20, QoS 1 and 2 mixed: so many are open, and each that is finished lets one more through.
fn window_is_as_large_as_was_asked_for(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    for window in [2, 5, 20] {
        let mut subscriber = stage.login("sub").receive_maximum(window).open()?;
        subscriber.subscribe(&topic, 2)?;
        let mut publisher = stage.connect("pub")?;
        for number in 0..3 * window {
            publisher.deliver(&Message::new(&topic, number.to_string()).qos(1 + (number % 2) as u8))?;
        }
        let mut open = std::collections::VecDeque::new();
        for number in 0..window {
            open.push_back(subscriber.message_of(number.to_string())?);
        }
        subscriber.quiet()?;
        for number in window..3 * window {
            if let Some(oldest) = open.pop_front() {
                subscriber.acknowledge(&oldest)?;
            }
            open.push_back(subscriber.message_of(number.to_string())?);
            subscriber.quiet_for(Duration::from_millis(5))?;
        }
        for message in open {
            subscriber.acknowledge(&message)?;
        }
        subscriber.quiet()?;
    }
    Ok(())
}

/// A full window: PINGRESP, SUBACK, UNSUBACK, PUBACK and QoS 0 deliveries still come.
fn full_window_holds_back_nothing_else(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.login("sub").receive_maximum(1).open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..5 {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(1))?;
    }
    subscriber.message_of("0")?;
    everything_else_flows(stage, &mut subscriber, &mut publisher)
}

/// 2,000 deliveries wait for PUBACK: PINGRESP, SUBACK, PUBACK and QoS 0 deliveries still come, then the rest.
fn unacknowledged_deliveries_hold_back_nothing_else(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let burst: Vec<Message> = (0..2000).map(|n| Message::new(stage.topic("a"), n.to_string())).collect();
    publisher.deliver_all(&burst)?;
    let mut open = Vec::new();
    while let Arrival::Publish(message) = subscriber.next_within(Duration::from_millis(300))? {
        open.push(message);
    }
    let within = stage.settings.lenient || open.len() <= WINDOW_OF_3_1_1;
    ensure(within, format!("at most {WINDOW_OF_3_1_1} open deliveries"), open.len())?;
    everything_else_flows(stage, &mut subscriber, &mut publisher)
}

/// Deliveries that our broker keeps open to a client before 5.0.
const WINDOW_OF_3_1_1: usize = 1024;

fn everything_else_flows(stage: &Stage<'_>, subscriber: &mut Peer, publisher: &mut Peer) -> Check {
    subscriber.ping()?;
    subscriber.subscribe(&stage.topic("b"), 0)?;
    subscriber.unsubscribe(&stage.topic("a"))?;
    publisher.publish(&Message::new(stage.topic("b"), "beside"));
    subscriber.message_of("beside")?;
    let mut witness = stage.subscriber("witness", &stage.topic("c"), 1)?;
    subscriber.deliver(&Message::new(stage.topic("c"), "out").qos(1))?;
    witness.take_of("out").map(drop)
}

/// Five open deliveries, resumed with Receive Maximum 2: two, then one for each that is acknowledged.
fn resume_with_a_smaller_window(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..6 {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(1))?;
    }
    for number in 0..6 {
        subscriber.message_of(number.to_string())?;
    }
    subscriber.cut();
    let mut subscriber = kept.receive_maximum(2).open_with_session(true)?;
    let mut open = vec![subscriber.message_of("0")?, subscriber.message_of("1")?];
    for number in 2..6 {
        subscriber.quiet_for(Duration::from_millis(100))?;
        subscriber.puback(open.remove(0).id);
        let next = subscriber.message_of(number.to_string())?;
        ensure(next.dup, "DUP 1", &next)?;
        open.push(next);
    }
    for message in open {
        subscriber.puback(message.id);
    }
    subscriber.quiet()
}
