//! Shared subscriptions: which member gets a message. Hard cases G.

use std::time::{Duration, Instant};

use longwire_proto::ReasonCode;
use longwire_proto::property::Property;

use super::scenes;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    both offline_members_are_passed_over "G01" "" "4.8.2-3";
    both qos_1_of_an_ended_member_goes_to_another "G03 U5-52" "" "4.8.2-3";
    both qos_2_of_an_ended_member_goes_to_nobody "G03" "" "4.8.2-5";
    both qos_2_begun_is_finished_with_the_same_member "G05" "" "4.8.2-4";
    v5 negative_acknowledgement_discards "G06" "4.8.2-6";
    both same_group_name_with_another_filter_is_another_group "G07" "" "4.8.2-2";
    v5 member_with_a_full_window_is_passed_over "G08" "4.9.0-2";
    v5 member_with_a_small_packet_limit_is_passed_over "G08 U5-54" "3.1.2-24";
    both granted_qos_is_that_of_the_member "G09" "3.8.4-6" "4.8.2-3";
    both subscribing_twice_and_leaving_once_is_leaving "G10 U5-51 U5-37" "3.10.4-1" "3.10.4-1";
    both shared_and_plain_filter_are_two_subscriptions "G10" "3.10.4-1" "3.10.4-1 3.10.4-5";
    both lonely_member_sees_order "G13" "4.6.0-6" "4.6.0-5";
    both kept_member_at_qos_0_gets_what_is_live "G09" "3.8.4-6" "4.8.2-3";
    both each_message_goes_to_one_member "" "" "4.8.2-3";
    both two_groups_each_get_a_copy "U5-50" "" "4.8.2-2";
    v5 identifiers_are_those_of_the_receiving_member "U5-28" "3.3.4-3";
    both share_name_is_followed_by_any_filter "" "4.7.1-1" "4.8.2-1 4.8.2-2";
}

/// One member is offline with a kept session, one online: all ten messages go to the online one.
fn offline_members_are_passed_over(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let kept = stage.login("away").keep();
    let mut away = kept.open()?;
    away.subscribe(&shared, 1)?;
    away.cut();
    let mut online = stage.subscriber("online", &shared, 1)?;
    publish_numbers(stage, 10)?;
    take_numbers(&mut online, 10)?;
    kept.open_with_session(true)?.quiet()
}

/// A member's session ends with a QoS 1 message unacknowledged: another member gets it.
fn qos_1_of_an_ended_member_goes_to_another(stage: &Stage<'_>) -> Check {
    let (first, mut second, _) = member_with_a_delivery(stage, 1)?;
    first.cut();
    second.take_of("x")?;
    second.quiet()
}

/// A member's session ends inside a QoS 2 flow: nobody else gets the message.
fn qos_2_of_an_ended_member_goes_to_nobody(stage: &Stage<'_>) -> Check {
    let (first, mut second, _) = member_with_a_delivery(stage, 2)?;
    first.cut();
    second.quiet_for(Duration::from_millis(500))
}

/// A QoS 2 flow begun with a member that drops is finished with that member, and with nobody else.
fn qos_2_begun_is_finished_with_the_same_member(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let kept = stage.login("first").keep();
    let mut first = kept.open()?;
    first.subscribe(&shared, 2)?;
    publish(stage, "x", 2)?;
    let begun = first.message_of("x")?;
    let mut second = stage.subscriber("second", &shared, 2)?;
    first.cut();
    second.quiet()?;
    let mut first = kept.open_with_session(true)?;
    let again = first.take_of("x")?;
    same("the same PUBLISH with DUP 1:", &again, &begun.dup())?;
    second.quiet()
}

/// PUBACK 0x83 and PUBREC 0x83 discard the message: no other member gets it.
fn negative_acknowledgement_discards(stage: &Stage<'_>) -> Check {
    for qos in [1, 2] {
        let (mut first, mut second, id) = member_with_a_delivery(stage, qos)?;
        if qos == 1 {
            first.puback_code(id, ReasonCode::ImplementationSpecificError);
        } else {
            first.pubrec_code(id, ReasonCode::ImplementationSpecificError);
        }
        first.quiet()?;
        second.quiet()?;
        first.cut();
        second.quiet()?;
    }
    Ok(())
}

/// One group name on two filters: both members get what both filters match.
fn same_group_name_with_another_filter_is_another_group(stage: &Stage<'_>) -> Check {
    let mut exact = stage.subscriber("exact", &stage.shared("g", "a"), 1)?;
    let mut wide = stage.subscriber("wide", &stage.shared("g", "#"), 1)?;
    publish_numbers(stage, 5)?;
    take_numbers(&mut exact, 5)?;
    take_numbers(&mut wide, 5)
}

/// Receive Maximum 1 and no acknowledgement: after one message all others go to the other member.
fn member_with_a_full_window_is_passed_over(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut full = stage.login("full").receive_maximum(1).open()?;
    full.subscribe(&shared, 1)?;
    publish(stage, "held", 1)?;
    full.message_of("held")?;
    let mut free = stage.subscriber("free", &shared, 1)?;
    publish_numbers(stage, 10)?;
    take_numbers(&mut free, 10)?;
    full.quiet()
}

/// A message too large for one member goes to the other.
fn member_with_a_small_packet_limit_is_passed_over(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut small = stage.login("small").with(Property::MaximumPacketSize(100)).open()?;
    small.subscribe(&shared, 1)?;
    let mut large = stage.subscriber("large", &shared, 1)?;
    let mut publisher = stage.connect("pub")?;
    let payload = "x".repeat(200);
    for _ in 0..5 {
        publisher.deliver(&Message::new(stage.topic("a"), &payload).qos(1))?;
        large.take_of(&payload)?;
    }
    small.quiet()
}

/// A QoS 2 message for a group whose only member has QoS 0 or 1 arrives at that QoS and is done.
fn granted_qos_is_that_of_the_member(stage: &Stage<'_>) -> Check {
    for granted in 0..=2 {
        let mut member = stage.subscriber("member", &stage.shared(&format!("g{granted}"), "a"), granted)?;
        publish(stage, "x", 2)?;
        same("QoS", &member.take_of("x")?.qos, &granted)?;
        member.quiet()?;
    }
    Ok(())
}

/// Subscribed twice, unsubscribed once: out of the group, and the other member gets everything.
fn subscribing_twice_and_leaving_once_is_leaving(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut leaving = stage.subscriber("leaving", &shared, 1)?;
    leaving.subscribe(&shared, 2)?;
    let mut staying = stage.subscriber("staying", &shared, 1)?;
    leaving.unsubscribe(&shared)?;
    publish_numbers(stage, 10)?;
    take_numbers(&mut staying, 10)?;
    leaving.quiet()
}

/// Leaving the plain filter leaves the shared one alone, and the other way; a group of another name is neither.
fn shared_and_plain_filter_are_two_subscriptions(stage: &Stage<'_>) -> Check {
    let (shared, plain) = (stage.shared("g", "a"), stage.topic("a"));
    let mut client = stage.connect("client")?;
    for (kept, gone) in [(&shared, &plain), (&plain, &shared)] {
        client.subscribe(kept, 1)?;
        for filter in [gone, &stage.shared("h", "a"), &stage.shared("g", "+")] {
            let grants = client.unsubscribe_from(&[filter])?;
            ensure(grants.codes.iter().all(|&code| code == 0x11), "UNSUBACK with code 0x11", &grants)?;
        }
        publish(stage, "x", 1)?;
        client.take_of("x")?;
        client.unsubscribe(kept)?;
        publish(stage, "x", 1)?;
        client.quiet()?;
    }
    Ok(())
}

/// A group of one behaves like a plain subscription: 200 messages in order, at each QoS.
fn lonely_member_sees_order(stage: &Stage<'_>) -> Check {
    let mut member = stage.subscriber("member", &stage.shared("g", "a"), 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in 0..=2 {
        for number in 0..200 {
            publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(qos))?;
        }
        for number in 0..200_u64 {
            same("number of the delivery", &member.take()?.number(), &number)?;
        }
    }
    member.quiet()
}

/// A kept member with QoS 0 gets everything at QoS 0 while it is there; QoS 1 members beside it lose nothing.
fn kept_member_at_qos_0_gets_what_is_live(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut low = stage.login("low").keep().open()?;
    low.subscribe(&shared, 0)?;
    publish_numbers(stage, 5)?;
    for number in 0..5_u64 {
        let came = low.take_of(number.to_string())?;
        same("QoS", &came.qos, &0)?;
    }
    let mut high = stage.login("high").keep().open()?;
    high.subscribe(&shared, 1)?;
    publish_numbers(stage, 20)?;
    let mut members = [low, high];
    let mut numbers: Vec<u64> =
        take_across(&mut members, 20)?.iter().map(|(_, came)| came.number()).collect();
    numbers.sort_unstable();
    same("messages over both members", &numbers, &(0..20).collect())
}

/// Three members, 90 messages: each message to exactly one of them.
fn each_message_goes_to_one_member(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut members = Vec::new();
    for name in ["one", "two", "three"] {
        members.push(stage.subscriber(name, &shared, 1)?);
    }
    publish_numbers(stage, 90)?;
    let mut numbers: Vec<u64> =
        take_across(&mut members, 90)?.iter().map(|(_, came)| came.number()).collect();
    numbers.sort_unstable();
    same("messages over all members", &numbers, &(0..90).collect())
}

/// Two share names on one filter: each group gets its copy.
fn two_groups_each_get_a_copy(stage: &Stage<'_>) -> Check {
    let mut first = stage.subscriber("first", &stage.shared("g", "a"), 1)?;
    let mut second = stage.subscriber("second", &stage.shared("h", "a"), 1)?;
    publish_numbers(stage, 5)?;
    take_numbers(&mut first, 5)?;
    take_numbers(&mut second, 5)
}

/// Members with identifiers 1 and 2: each message carries that of its receiver only.
fn identifiers_are_those_of_the_receiving_member(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut members = Vec::new();
    for (name, identifier) in [("one", 1), ("two", 2)] {
        let mut member = stage.connect(name)?;
        member.subscribe_one(&shared, options(1), &[Property::SubscriptionIdentifier(identifier)])?;
        members.push(member);
    }
    publish_numbers(stage, 20)?;
    let came = take_across(&mut members, 20)?;
    same("messages over all members", &came.len(), &20)?;
    came.iter().try_for_each(|(member, message)| {
        same("subscription identifiers", &message.identifiers(), &vec![*member as u32 + 1])
    })
}

/// So many messages over all members, and any that come too much, each with the number of its receiver.
pub(super) fn take_across(members: &mut [Peer], total: usize) -> Check<Vec<(usize, Message)>> {
    let mut came = Vec::new();
    let start = Instant::now();
    while came.len() < total && start.elapsed() < Duration::from_secs(10) {
        for (number, member) in members.iter_mut().enumerate() {
            while let Arrival::Publish(message) = member.next_within(Duration::from_millis(5))? {
                member.acknowledge(&message)?;
                came.push((number, message));
            }
        }
    }
    members.iter_mut().try_for_each(Peer::quiet)?;
    Ok(came)
}

/// `$share/<name>/` takes any filter: with wildcards, with a leading slash, with `$` inside the name.
fn share_name_is_followed_by_any_filter(stage: &Stage<'_>) -> Check {
    let tag = stage.tag();
    let mut publisher = stage.connect("pub")?;
    let cases = [
        (format!("$share/n{tag}/{}", stage.topic("+/x")), stage.topic("b/x")),
        (format!("$share/n{tag}/{}", stage.topic("c/#")), stage.topic("c")),
        (format!("$share/n{tag}//{}", stage.topic("d")), format!("/{}", stage.topic("d"))),
        (format!("$share/$n {tag}/{}", stage.topic("e")), stage.topic("e")),
    ];
    for (filter, topic) in cases {
        let mut member = stage.subscriber("member", &filter, 1)?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        same("topic", &member.take_of("x")?.topic, &topic)?;
        member.quiet()?;
    }
    Ok(())
}

/// A clean member with an unacknowledged delivery "x" of this QoS, another that joined later, and the id.
fn member_with_a_delivery(stage: &Stage<'_>, qos: u8) -> Check<(Peer, Peer, u16)> {
    let shared = stage.shared("g", "a");
    let mut first = stage.subscriber("first", &shared, qos)?;
    publish(stage, "x", qos)?;
    let message = first.message_of("x")?;
    let second = stage.subscriber("second", &shared, qos)?;
    Ok((first, second, message.id))
}

pub(super) fn publish(stage: &Stage<'_>, payload: &str, qos: u8) -> Check {
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a"), payload).qos(qos))
}

pub(super) fn publish_numbers(stage: &Stage<'_>, count: u64) -> Check {
    let messages: Vec<Message> = (0..count).map(|n| Message::new(stage.topic("a"), n.to_string())).collect();
    stage.connect("pub")?.deliver_all(&messages)
}

/// All numbers below `count` and nothing else, in any order.
pub(super) fn take_numbers(peer: &mut Peer, count: u64) -> Check {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(peer.take()?.number());
    }
    numbers.sort_unstable();
    same("messages of this member", &numbers, &(0..count).collect())?;
    peer.quiet()
}
