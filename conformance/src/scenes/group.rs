//! What waits in a shared group while members are full, away, come or end. Hard cases G02, G04, G05 and G14.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use longwire_proto::property::Property;

use super::scenes;
use super::shared::{publish, publish_numbers, take_across, take_numbers};
use crate::failure::{Check, ensure, joined, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    both group_without_online_members_keeps_messages "G02" "" "4.8.2-3";
    v5 qos_1_of_an_expired_member_goes_to_another "G04" "4.8.2-3";
    v5 qos_2_of_an_expired_member_goes_to_nobody "G03" "4.8.2-5";
    v5 messages_parked_for_an_expired_member_go_to_another "G04" "4.8.2-3";
    both slow_member_does_not_stall_the_group "G14" "" "3.3.4-9";
    both members_that_come_and_go_lose_nothing "G03 G04" "" "4.8.2-3";
    both kept_member_joins_and_ends_under_a_stream "G03 G04" "" "4.8.2-3";
    v5 waiting_messages_survive_the_end_of_a_kept_member "G03 G04" "4.8.2-3";
    v5 waiting_messages_survive_the_arrival_of_a_kept_member "G03 G04" "4.8.2-3";
    v5 message_too_large_for_every_member_blocks_nothing "G08 H07 U5-54" "3.1.2-24 3.1.2-25";
    v5 message_that_only_an_ended_member_could_take_blocks_nothing "G08 U5-54" "3.1.2-25";
    v5 messages_that_expire_in_a_group_are_dropped "H04" "3.3.2-5";
    both qos_0_waits_for_nobody "G02" "" "4.8.2-3";
    both member_taken_over_keeps_its_messages "G05 C09" "" "4.8.2-4";
    both last_member_that_leaves_takes_the_messages_along "U5-37 U5-53" "" "3.10.4-1";
}

/// All members are offline: QoS 1 and 2 wait, and the first that returns gets them.
fn group_without_online_members_keeps_messages(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    for name in ["one", "two"] {
        let mut member = stage.login(name).keep().open()?;
        member.subscribe(&shared, 2)?;
        member.cut();
    }
    let mut publisher = stage.connect("pub")?;
    for number in 0..4_u8 {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(1 + number % 2))?;
    }
    let mut first = stage.login("two").keep().open_with_session(true)?;
    let came = first.take_all(4)?;
    let numbers: BTreeSet<u64> = came.iter().map(Message::number).collect();
    same("messages kept for the group", &numbers, &(0..4).collect())?;
    same("copies", &came.len(), &4)?;
    stage.login("one").keep().open_with_session(true)?.quiet()
}

/// The same as with an ended member, but the session lives on for a second: then another member gets it.
fn qos_1_of_an_expired_member_goes_to_another(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut first = stage.login("first").clean(false).expiry(1).open()?;
    first.subscribe(&shared, 1)?;
    publish(stage, "x", 1)?;
    first.message_of("x")?;
    let mut second = stage.subscriber("second", &shared, 1)?;
    first.cut();
    second.quiet_for(Duration::from_millis(500))?;
    second.take_of("x")?;
    second.quiet()
}

/// QoS 2 messages begun to a member whose session expires, one before PUBREC and one before PUBCOMP, go to nobody else.
fn qos_2_of_an_expired_member_goes_to_nobody(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut first = stage.login("first").clean(false).expiry(1).open()?;
    first.subscribe(&shared, 2)?;
    publish(stage, "x", 2)?;
    publish(stage, "y", 2)?;
    first.message_of("x")?;
    let id = first.message_of("y")?.id;
    first.pubrec(id);
    first.expect_pubrel(id)?;
    let mut second = stage.subscriber("second", &shared, 2)?;
    first.cut();
    second.quiet_for(Duration::from_millis(2200))?;
    publish(stage, "z", 2)?;
    second.take_of("z")?;
    second.quiet()
}

/// The only member is offline and expires; another member, offline too, gets the messages when it returns.
fn messages_parked_for_an_expired_member_go_to_another(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let kept = stage.login("second").keep();
    for login in [stage.login("first").clean(false).expiry(1), kept.clone()] {
        let mut member = login.open()?;
        member.subscribe(&shared, 1)?;
        member.cut();
    }
    publish_numbers(stage, 3)?;
    stage.sleep_ms(2200);
    take_numbers(&mut kept.open_with_session(true)?, 3)
}

/// A member that never acknowledges: 3,000 messages still reach the group within the scene's patience.
fn slow_member_does_not_stall_the_group(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 3_000;
    let shared = stage.shared("g", "a");
    let mut slow = stage.login("slow").receive_maximum(10).open()?;
    slow.subscribe(&shared, 1)?;
    let mut quick = stage.subscriber("quick", &shared, 1)?;
    let mut publisher = stage.connect("pub")?;
    let mut seen = BTreeSet::new();
    for first in (0..TOTAL).step_by(100) {
        let batch: Vec<Message> =
            (first..first + 100).map(|n| Message::new(stage.topic("a"), n.to_string())).collect();
        publisher.deliver_all(&batch)?;
        while let Arrival::Publish(message) = quick.next_within(Duration::from_millis(10))? {
            quick.acknowledge(&message)?;
            seen.insert(message.number());
        }
    }
    while let Arrival::Publish(message) = slow.next_within(Duration::from_millis(100))? {
        seen.insert(message.number());
    }
    let missing = (TOTAL as usize).saturating_sub(seen.len());
    seen.extend(quick.take_all(missing)?.iter().map(Message::number));
    same("different messages in the group", &(seen.len() as u64), &TOTAL)
}

/// Members join, hold messages back and end, clean ones and kept ones, under a stream: the steady one and the
/// kept one acknowledge every message between them.
fn members_that_come_and_go_lose_nothing(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 1500;
    let shared = stage.shared("g", "a");
    let mut steady = stage.subscriber("steady", &shared, 1)?;
    let kept = stage.login("kept").keep();
    let mut publisher = stage.connect("pub")?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let messages: Vec<Message> =
                (0..TOTAL).map(|n| Message::new(stage.topic("a"), n.to_string())).collect();
            publisher.deliver_all(&messages)
        });
        let mut seen = BTreeSet::new();
        for _ in 0..10 {
            let guest = stage.subscriber("guest", &shared, 1)?;
            let mut member = kept.open()?;
            member.subscribe(&shared, 1)?;
            for peer in [&mut steady, &mut member] {
                seen.extend(numbers_for(peer, Duration::from_millis(30))?);
            }
            drop((guest, member));
        }
        joined(publishing.join())?;
        stage.login("kept").open()?.disconnect();
        the_rest_comes(&mut steady, seen, TOTAL)
    })
}

/// A kept member joins, takes nothing and ends, again and again under a stream: the steady member gets it all.
fn kept_member_joins_and_ends_under_a_stream(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 3000;
    let shared = stage.shared("g", "a");
    let mut steady = stage.subscriber("steady", &shared, 1)?;
    let mut publisher = stage.connect("pub")?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let messages: Vec<Message> =
                (0..TOTAL).map(|n| Message::new(stage.topic("a"), n.to_string())).collect();
            publisher.deliver_all(&messages)
        });
        let mut seen = BTreeSet::new();
        while !publishing.is_finished() {
            let mut kept = stage.login("kept").keep().open()?;
            kept.ask_to_subscribe(1, &[(&shared, options(1))], &[]);
            seen.extend(numbers_for(&mut steady, Duration::from_millis(5))?);
            stage.login("kept").open()?.disconnect();
            drop(kept);
        }
        joined(publishing.join())?;
        the_rest_comes(&mut steady, seen, TOTAL)
    })
}

/// Four messages wait for a group because its connected member is full; its kept member ends; they still come.
fn waiting_messages_survive_the_end_of_a_kept_member(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut away = stage.login("away").keep().open()?;
    away.subscribe(&shared, 1)?;
    away.cut();
    let (mut full, first) = full_member(stage, &shared)?;
    stage.login("away").open_with_session(false)?.disconnect();
    stage.sleep_ms(100);
    full.acknowledge(&first)?;
    for number in 1..5_u64 {
        same("number of the delivery", &full.take()?.number(), &number)?;
    }
    full.quiet()
}

/// Four messages wait for a group because its only member is full; a kept member joins; they come to either.
fn waiting_messages_survive_the_arrival_of_a_kept_member(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let (full, first) = full_member(stage, &shared)?;
    let mut kept = stage.login("kept").keep().open()?;
    kept.subscribe(&shared, 1)?;
    let mut members = [full, kept];
    members[0].acknowledge(&first)?;
    let mut numbers: Vec<u64> = take_across(&mut members, 4)?.iter().map(|(_, came)| came.number()).collect();
    numbers.sort_unstable();
    same("messages over both members", &numbers, &(1..5).collect())
}

/// A clean member with room for one, which it holds, and four messages behind it.
fn full_member(stage: &Stage<'_>, shared: &str) -> Check<(Peer, Message)> {
    let mut full = stage.login("full").receive_maximum(1).open()?;
    full.subscribe(shared, 1)?;
    publish_numbers(stage, 5)?;
    let first = full.message_of("0")?;
    Ok((full, first))
}

/// A message that no member takes, of a clean group and of a kept one: those behind it come all the same.
fn message_too_large_for_every_member_blocks_nothing(stage: &Stage<'_>) -> Check {
    let small = |name| stage.login(name).with(Property::MaximumPacketSize(100));
    for (group, login) in [("clean", small("clean")), ("kept", small("kept").keep())] {
        let shared = stage.shared(group, "a");
        let mut member = login.open()?;
        member.subscribe(&shared, 2)?;
        let mut publisher = stage.connect("pub")?;
        for (number, qos) in (0..6_u64).zip([0, 1, 2].into_iter().cycle()) {
            publisher.deliver(&Message::new(stage.topic("a"), "x".repeat(200)).qos(qos))?;
            publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(qos))?;
            member.take_of(number.to_string())?;
        }
        member.quiet()?;
        member.unsubscribe(&shared)?;
    }
    Ok(())
}

/// A large message waits for the one member that could take it, whose window is full; that member ends, and what waits
/// behind the message comes to the other.
fn message_that_only_an_ended_member_could_take_blocks_nothing(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut large = stage.login("large").keep().receive_maximum(1).open()?;
    large.subscribe(&shared, 1)?;
    publish(stage, "held", 1)?;
    large.message_of("held")?;
    let mut small = stage.login("small").with(Property::MaximumPacketSize(100)).open()?;
    small.subscribe(&shared, 1)?;
    publish(stage, &"x".repeat(200), 1)?;
    publish(stage, "behind", 1)?;
    small.quiet()?;
    large.cut();
    small.take_of("behind")?;
    small.quiet()
}

/// Messages wait for a group whose members are away and expire: the first that returns gets the living one only.
fn messages_that_expire_in_a_group_are_dropped(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let kept = stage.login("member").keep();
    let mut member = kept.open()?;
    member.subscribe(&shared, 1)?;
    member.cut();
    let mut publisher = stage.connect("pub")?;
    let gone = Message::new(stage.topic("a"), "gone").qos(1).with(Property::MessageExpiryInterval(1));
    publisher.deliver(&gone)?;
    publisher.deliver(&Message::new(stage.topic("a"), "stays").qos(1))?;
    stage.sleep_ms(2200);
    let mut member = kept.open_with_session(true)?;
    member.take_of("stays")?;
    member.quiet()
}

/// QoS 0 to a group whose members are all away is dropped, QoS 1 behind it is kept.
fn qos_0_waits_for_nobody(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let kept = stage.login("member").keep();
    let mut member = kept.open()?;
    member.subscribe(&shared, 2)?;
    member.cut();
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(stage.topic("a"), "0"))?;
    publisher.deliver(&Message::new(stage.topic("a"), "1").qos(1))?;
    let mut member = kept.open_with_session(true)?;
    let came = member.take_all(1)?;
    let kept: Vec<String> = came.iter().filter(|message| message.qos > 0).map(Message::text).collect();
    same("kept messages", &kept, &vec!["1".to_owned()])
}

/// A member with open deliveries is taken over by itself: it gets them again, nobody else does.
fn member_taken_over_keeps_its_messages(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let kept = stage.login("member").keep();
    for qos in [1, 2] {
        let mut old = kept.open()?;
        old.subscribe(&shared, qos)?;
        publish(stage, "x", qos)?;
        let held = old.message_of("x")?;
        let mut other = stage.subscriber("other", &shared, qos)?;
        let mut new = kept.open_with_session(true)?;
        same("the same PUBLISH with DUP 1:", &new.take_of("x")?, &held.dup())?;
        new.quiet()?;
        other.quiet()?;
        other.unsubscribe(&shared)?;
    }
    Ok(())
}

/// This member gets all numbers below `total` that nobody has acknowledged yet.
fn the_rest_comes(member: &mut Peer, mut seen: BTreeSet<u64>, total: u64) -> Check {
    while seen.len() < total as usize {
        let more = numbers_for(member, Duration::from_secs(2))?;
        let missing: Vec<u64> = (0..total).filter(|number| !seen.contains(number)).collect();
        let came = format!("all but {}, among them {:?}", missing.len(), &missing[..missing.len().min(10)]);
        ensure(!more.is_empty(), format!("{total} messages in the group"), came)?;
        seen.extend(more);
    }
    Ok(())
}

/// What comes within this time, acknowledged.
fn numbers_for(peer: &mut Peer, time: Duration) -> Check<Vec<u64>> {
    let start = Instant::now();
    let mut numbers = Vec::new();
    while let Arrival::Publish(message) = peer.next_within(time.saturating_sub(start.elapsed()))? {
        peer.acknowledge(&message)?;
        numbers.push(message.number());
    }
    Ok(numbers)
}

/// The last member unsubscribes while messages wait for the group: whoever joins later gets none of them.
fn last_member_that_leaves_takes_the_messages_along(stage: &Stage<'_>) -> Check {
    let shared = stage.shared("g", "a");
    let mut member = stage.login("member").keep().receive_maximum(1).open()?;
    member.subscribe(&shared, 1)?;
    publish_numbers(stage, 3)?;
    let held = member.message_of("0")?;
    member.unsubscribe(&shared)?;
    let mut later = stage.subscriber("later", &shared, 1)?;
    later.quiet()?;
    member.puback(held.id);
    later.quiet()
}
