//! Subscriptions that are replaced or removed, at rest and under load. Hard cases F05, F13 and F14.

use std::time::Duration;

use longwire_proto::property::Property;

use super::scenes;
use super::subscription::subscribe_as;
use crate::failure::{Check, ensure, joined, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    v5 subscribing_again_replaces_the_identifier "F05 U5-35" "3.8.4-3";
    v5 queued_messages_take_the_new_identifier "F05 U5-36" "3.8.4-3";
    v5 delivery_in_flight_may_keep_its_identifier "U5-36" "3.8.4-3 4.4.0-1";
    both unsubscribe_compares_bytes "F13" "3.10.4-1 3.10.4-5" "3.10.4-1 3.10.4-5";
    both unsubscribing_one_of_two_overlapping_filters "F14" "3.10.4-1" "3.10.4-1 3.3.4-3";
    both subscribing_again_with_another_qos_replaces "" "3.8.4-3" "3.8.4-3";
    both unsubscribing_several_filters_at_once "" "3.10.4-6 3.10.4-2" "3.10.4-6 3.11.3-1 3.11.3-2";
    both unsubscribe_lets_begun_deliveries_finish "" "3.10.4-3" "3.10.4-3";
    both resubscribing_under_load_loses_nothing "" "3.8.4-3" "3.8.4-4";
    both changing_a_kept_subscription_under_load_loses_nothing "" "3.8.4-3 3.8.4-4" "3.8.4-4 3.8.4-3";
    v5 waiting_messages_survive_a_change_to_qos_0 "F05" "3.8.4-4";
    v5 waiting_messages_survive_the_loss_of_one_filter "F14" "3.10.4-3 3.8.4-8";
    both second_filter_under_load_changes_no_delivery "F01 F14" "3.3.5-1 3.8.4-3" "3.3.4-2 3.8.4-4";
}

/// Identifier 1, then 2, then none: each SUBSCRIBE replaces what was before.
fn subscribing_again_replaces_the_identifier(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.connect("sub")?;
    let mut publisher = stage.connect("pub")?;
    for identifier in [Some(1), Some(2), None] {
        let properties: Vec<_> = identifier.into_iter().map(Property::SubscriptionIdentifier).collect();
        subscriber.subscribe_one(&topic, options(1), &properties)?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        let expected: Vec<u32> = identifier.into_iter().collect();
        same("subscription identifiers", &subscriber.take_of("x")?.identifiers(), &expected)?;
    }
    subscriber.quiet()
}

/// A message waits behind a full window while its subscription gets identifier 2: it is sent with 2.
fn queued_messages_take_the_new_identifier(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().receive_maximum(1).open()?;
    subscribe_as(&mut subscriber, &topic, options(1), 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "first").qos(1))?;
    publisher.deliver(&Message::new(&topic, "second").qos(1))?;
    let first = subscriber.message_of("first")?;
    same("subscription identifiers", &first.identifiers(), &vec![1])?;
    subscribe_as(&mut subscriber, &topic, options(1), 2)?;
    subscriber.puback(first.id);
    same("subscription identifiers", &subscriber.take_of("second")?.identifiers(), &vec![2])
}

/// A delivery is open while its subscription gets identifier 2: it may come again with 1 or 2, what follows comes with 2.
fn delivery_in_flight_may_keep_its_identifier(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscribe_as(&mut subscriber, &topic, options(1), 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "open").qos(1))?;
    let open = subscriber.message_of("open")?;
    subscribe_as(&mut subscriber, &topic, options(1), 2)?;
    subscriber.cut();
    publisher.deliver(&Message::new(&topic, "queued").qos(1))?;
    let mut subscriber = kept.open_with_session(true)?;
    let again = subscriber.take_of("open")?;
    let identifiers = again.identifiers();
    ensure(again.id == open.id && (identifiers == [1] || identifiers == [2]), "identifier 1 or 2", &again)?;
    same("subscription identifiers", &subscriber.take_of("queued")?.identifiers(), &vec![2])?;
    subscriber.quiet()
}

/// UNSUBSCRIBE `a/b` does not touch `a/+`, and `a/+` does not touch `a/b`; in 5.0 code 0x11.
fn unsubscribe_compares_bytes(stage: &Stage<'_>) -> Check {
    let (exact, wild) = (stage.topic("a/b"), stage.topic("a/+"));
    for (subscribed, other) in [(&exact, &wild), (&wild, &exact)] {
        let mut subscriber = stage.subscriber("sub", subscribed, 1)?;
        let grants = subscriber.unsubscribe_from(&[other])?;
        ensure(grants.codes.iter().all(|&code| code == 0x11), "UNSUBACK with code 0x11", &grants)?;
        stage.connect("pub")?.deliver(&Message::new(&exact, "x").qos(1))?;
        subscriber.take_of("x")?;
    }
    Ok(())
}

/// `a/#` and `a/b`: after one is gone the other works with its own QoS and identifier.
fn unsubscribing_one_of_two_overlapping_filters(stage: &Stage<'_>) -> Check {
    let (wide, exact) = (stage.topic("a/#"), stage.topic("a/b"));
    let mut publisher = stage.connect("pub")?;
    for (gone, left, qos, identifier) in [(&wide, &exact, 2, 2), (&exact, &wide, 1, 1)] {
        let mut subscriber = stage.connect("sub")?;
        subscribe_as(&mut subscriber, &wide, options(1), 1)?;
        subscribe_as(&mut subscriber, &exact, options(2), 2)?;
        subscriber.unsubscribe(gone)?;
        publisher.deliver(&Message::new(&exact, "x").qos(2))?;
        let came = subscriber.take_of("x")?;
        same(&format!("QoS of {left}"), &came.qos, &qos)?;
        let expected = if stage.v5() { vec![identifier] } else { vec![] };
        same("subscription identifiers", &came.identifiers(), &expected)?;
        subscriber.quiet()?;
    }
    Ok(())
}

/// The same filter with another QoS: one copy, at the new QoS.
fn subscribing_again_with_another_qos_replaces(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.connect("sub")?;
    let mut publisher = stage.connect("pub")?;
    for qos in [2, 0, 1] {
        subscriber.subscribe(&topic, qos)?;
        publisher.deliver(&Message::new(&topic, "x").qos(2))?;
        same("QoS", &subscriber.take_of("x")?.qos, &qos)?;
        subscriber.quiet()?;
    }
    Ok(())
}

/// Known, known, unknown: one UNSUBACK, in 5.0 with 00 00 11, and both known ones are gone.
fn unsubscribing_several_filters_at_once(stage: &Stage<'_>) -> Check {
    let names = [stage.topic("a"), stage.topic("b"), stage.topic("unknown")];
    let mut subscriber = stage.connect("sub")?;
    subscriber.subscribe(&names[0], 1)?;
    subscriber.subscribe(&names[1], 1)?;
    let grants = subscriber.unsubscribe_from(&[&names[0], &names[1], &names[2]])?;
    let expected = if stage.v5() { vec![0, 0, 0x11] } else { vec![] };
    same("UNSUBACK codes", &grants.codes, &expected)?;
    let mut publisher = stage.connect("pub")?;
    for name in &names {
        publisher.deliver(&Message::new(name, "x").qos(1))?;
    }
    subscriber.quiet()
}

/// UNSUBSCRIBE between PUBLISH and PUBREC: the flow is finished, also over a resume, and nothing new comes.
fn unsubscribe_lets_begun_deliveries_finish(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "begun").qos(2))?;
    let begun = subscriber.message_of("begun")?;
    subscriber.unsubscribe(&topic)?;
    publisher.deliver(&Message::new(&topic, "late").qos(2))?;
    subscriber.cut();
    let mut subscriber = kept.open_with_session(true)?;
    let again = subscriber.take_of("begun")?;
    same("id", &again.id, &begun.id)?;
    subscriber.quiet()
}

/// A filter is subscribed again and again under a stream: no gap, nothing twice.
fn resubscribing_under_load_loses_nothing(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 300;
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            (0..TOTAL).try_for_each(|n| publisher.deliver(&Message::new(&topic, n.to_string()).qos(1)))
        });
        for number in 0..TOTAL {
            if number % 15 == 0 {
                subscriber.subscribe(&topic, if number % 2 == 0 { 1 } else { 2 })?;
            }
            same("number of the delivery", &subscriber.take()?.number(), &number)?;
        }
        subscriber.quiet()?;
        joined(publishing.join())
    })
}

/// A kept session changes its filter between QoS 0, 1 and 2 under a stream: each message comes once.
fn changing_a_kept_subscription_under_load_loses_nothing(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&topic, 1)?;
    under_a_stream(stage, &topic, subscriber, |subscriber, round| {
        subscriber.subscribe(&topic, [0, 1, 2, 1][round % 4])
    })
}

/// Four messages wait behind a full window; the subscription becomes QoS 0; they still come, each once.
fn waiting_messages_survive_a_change_to_qos_0(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().receive_maximum(1).open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..5 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
    }
    let first = subscriber.message_of("0")?;
    subscriber.subscribe(&topic, 0)?;
    publisher.deliver(&Message::new(&topic, "5").qos(1))?;
    subscriber.acknowledge(&first)?;
    let mut came: Vec<u64> = subscriber.take_all(5)?.iter().map(Message::number).collect();
    came.sort_unstable();
    same("the messages behind the first,", &came, &vec![1, 2, 3, 4, 5])
}

/// Four messages wait that two filters match; one filter goes; they still come by the other, at its QoS.
fn waiting_messages_survive_the_loss_of_one_filter(stage: &Stage<'_>) -> Check {
    let (wide, exact) = (stage.topic("a/#"), stage.topic("a/b"));
    for (gone, qos) in [(&wide, 1), (&exact, 2)] {
        let mut subscriber = stage.login("sub").keep().clean(true).receive_maximum(1).open()?;
        subscriber.subscribe(&wide, 2)?;
        subscriber.subscribe(&exact, 1)?;
        let mut publisher = stage.connect("pub")?;
        for number in 0..5 {
            publisher.deliver(&Message::new(&exact, number.to_string()).qos(2))?;
        }
        let first = subscriber.message_of("0")?;
        subscriber.unsubscribe(gone)?;
        subscriber.acknowledge(&first)?;
        for number in 1..5 {
            same("QoS", &subscriber.take_of(number.to_string())?.qos, &qos)?;
        }
        subscriber.quiet()?;
    }
    Ok(())
}

/// A kept session adds and removes a second matching filter under a stream: each message comes once.
fn second_filter_under_load_changes_no_delivery(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let wide = stage.topic("#");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&topic, 1)?;
    under_a_stream(stage, &topic, subscriber, |subscriber, round| {
        if round % 2 == 0 { subscriber.subscribe(&wide, 2) } else { subscriber.unsubscribe(&wide) }
    })
}

/// 2,000 numbered QoS 1 messages arrive at this subscriber once each, while `change` happens again and again.
fn under_a_stream(
    stage: &Stage<'_>,
    topic: &str,
    mut subscriber: Peer,
    change: impl Fn(&mut Peer, usize) -> Check,
) -> Check {
    const TOTAL: u64 = 2000;
    let mut publisher = stage.connect("pub")?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let messages: Vec<Message> = (0..TOTAL).map(|n| Message::new(topic, n.to_string())).collect();
            publisher.deliver_all(&messages)
        });
        let mut seen = Vec::new();
        for round in 0.. {
            if publishing.is_finished() {
                break;
            }
            change(&mut subscriber, round)?;
            for _ in 0..10 {
                let Arrival::Publish(message) = subscriber.next_within(Duration::from_millis(1))? else {
                    break;
                };
                subscriber.acknowledge(&message)?;
                seen.push(message.number());
            }
        }
        joined(publishing.join())?;
        let missing = (TOTAL as usize).saturating_sub(seen.len());
        while seen.len() < TOTAL as usize {
            match subscriber.next_within(Duration::from_secs(3))? {
                Arrival::Publish(message) => {
                    subscriber.acknowledge(&message)?;
                    seen.push(message.number());
                }
                _ => break,
            }
        }
        seen.sort_unstable();
        let gaps: Vec<u64> = (0..TOTAL).filter(|number| seen.binary_search(number).is_err()).collect();
        let came = format!("all but {} ({:?}…), {missing} late", gaps.len(), &gaps[..gaps.len().min(10)]);
        ensure(gaps.is_empty(), format!("{TOTAL} messages"), came)?;
        same("messages in all", &(seen.len() as u64), &TOTAL)?;
        subscriber.quiet()
    })
}
