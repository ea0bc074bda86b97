//! Retained messages: stored, replaced, cleared, replayed. Hard cases E.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use longwire_proto::Version;
use longwire_proto::packet::{RetainHandling, SubscribeOptions};
use longwire_proto::property::Property;

use super::scenes;
use crate::failure::{Check, ensure, joined, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    both stored_qos_bounds_the_replay "E01" "3.3.1-5 3.3.1-8" "3.3.1-5 3.8.4-8";
    v5 handling_1_replays_for_new_subscriptions_only "E02" "3.3.1-10";
    v5 handling_1_replays_again_after_the_session_expired "E02" "3.3.1-10";
    both subscribing_again_replays_again "E03" "3.8.4-3 3.3.1-6" "3.3.1-9 3.8.4-4";
    both overlapping_filters_in_one_subscribe_replay_each "E04" "3.3.1-6" "3.3.1-9";
    both shared_subscriptions_get_no_replay "E05 U5-34" "3.3.1-6" "3.3.1-9";
    v5 expired_retained_message_is_gone "E06 U5-29" "3.3.2-5";
    v5 replay_carries_the_seconds_left "E06" "3.3.2-6";
    v5 replacement_has_its_own_expiry "E06" "3.3.1-5";
    v5 handling_1_replays_again_after_unsubscribe "E02" "3.3.1-10";
    v5 clearing_with_an_expiry_is_clearing "E07" "3.3.1-6 3.3.1-7";
    both qos_0_replaces_qos_1 "E08" "3.3.1-7" "3.3.1-5";
    both racing_set_and_clear_end_alike_for_all "E09" "3.3.1-5 3.3.1-10" "3.3.1-5 3.3.1-6";
    both set_during_subscribe_is_seen "E10 U3-08" "3.3.1-6" "3.3.1-9";
    both live_updates_never_fall_behind_the_replay "E09 E10" "3.3.1-6 4.6.0-6" "3.3.1-9 4.6.0-5";
    both wildcards_at_the_front_hide_system_topics "E11 F15" "4.7.2-1" "4.7.2-1" alone;
    both replay_goes_on_after_a_resume "E12 A05" "3.3.1-6 4.4.0-1" "3.3.1-9 4.4.0-1";
    both parent_level_is_replayed "E11" "4.7.1-2" "4.7.1-1";
    both hundred_thousand_are_replayed_to_a_slow_reader "E12" "3.3.1-6" "3.3.1-9" alone;
    v311 replay_from_a_5_0_publisher_has_no_properties "E13 I09" "3.3.1-6";
    v5 replay_has_retain_and_live_as_published "E14" "3.3.1-13 3.3.1-9";
    v5 live_messages_lose_retain_without_retain_as_published "E14" "3.3.1-12";
    v5 too_large_for_this_client_is_skipped "E17" "3.1.2-24 3.1.2-25";
    both clearing_is_forwarded_and_not_stored "" "3.3.1-10 3.3.1-11" "3.3.1-6 3.3.1-7";
    both plain_publish_leaves_the_retained_message "" "3.3.1-12" "3.3.1-8";
    v311 established_subscriptions_see_retain_0 "" "3.3.1-9";
    v5 handling_2_replays_nothing "" "3.3.1-11";
    v5 retained_message_keeps_its_properties "" "3.3.1-5 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20";
    v5 no_local_hides_own_retained_messages "" "3.8.3-3";
    both retained_message_outlives_its_publisher "" "3.1.2-7" "3.3.1-5";
    both a_hundred_topics_are_replayed "" "3.3.1-6" "3.3.1-9";
}

/// Retained at QoS 0, 1 and 2, subscribed at QoS 0, 1 and 2: the lower of both, RETAIN 1.
fn stored_qos_bounds_the_replay(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    for stored in 0..=2 {
        publisher.deliver(&retained(stage, &format!("q{stored}")).qos(stored))?;
    }
    publisher.ping()?;
    for granted in 0..=2 {
        for stored in 0..=2_u8 {
            let mut late = stage.subscriber("late", &stage.topic(&format!("q{stored}")), granted)?;
            let came = late.take_of("kept")?;
            same("QoS", &came.qos, &stored.min(granted))?;
            ensure(came.retain && !came.dup, "RETAIN 1 and DUP 0", &came)?;
            late.quiet_for(Duration::from_millis(20))?;
        }
    }
    Ok(())
}

/// Retain Handling 1: for a new subscription yes, for a known one no, after a resume no, after a new session yes.
fn handling_1_replays_for_new_subscriptions_only(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let if_new = handling(RetainHandling::IfNew);
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe_one(&topic, if_new, &[])?;
    subscriber.take_of("kept")?;
    subscriber.subscribe_one(&topic, if_new, &[])?;
    subscriber.quiet()?;
    subscriber.cut();
    let mut subscriber = kept.open_with_session(true)?;
    subscriber.subscribe_one(&topic, if_new, &[])?;
    subscriber.quiet()?;
    subscriber.cut();
    let mut subscriber = stage.login("sub").open_with_session(false)?;
    subscriber.subscribe_one(&topic, if_new, &[])?;
    subscriber.take_of("kept").map(drop)
}

/// Retain Handling 1 of a client whose session expired: its subscription is new again.
fn handling_1_replays_again_after_the_session_expired(stage: &Stage<'_>) -> Check {
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let login = stage.login("sub").clean(false).expiry(1);
    for _ in 0..2 {
        let mut subscriber = login.open_with_session(false)?;
        subscriber.subscribe_one(&stage.topic("a"), handling(RetainHandling::IfNew), &[])?;
        subscriber.take_of("kept")?;
        subscriber.quiet()?;
        subscriber.cut();
        stage.sleep_ms(2200);
    }
    Ok(())
}

/// The same SUBSCRIBE three times: three replays.
fn subscribing_again_replays_again(stage: &Stage<'_>) -> Check {
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let mut subscriber = stage.connect("sub")?;
    for _ in 0..3 {
        subscriber.subscribe(&stage.topic("a"), 1)?;
        subscriber.take_of("kept")?;
        subscriber.quiet()?;
    }
    Ok(())
}

/// `a/#` at QoS 0 and `a/b` at QoS 1 in one SUBSCRIBE: one copy for each, at its QoS.
fn overlapping_filters_in_one_subscribe_replay_each(stage: &Stage<'_>) -> Check {
    stage.connect("pub")?.deliver(&retained(stage, "a/b").qos(1))?;
    let mut subscriber = stage.connect("sub")?;
    let (wide, exact) = (stage.topic("a/#"), stage.topic("a/b"));
    subscriber
        .subscribe_to(&[(&wide, options(0)), (&exact, options(1))], &[Property::SubscriptionIdentifier(9)])?;
    let came = subscriber.take_all(2)?;
    let mut levels: Vec<u8> = came.iter().map(|message| message.qos).collect();
    levels.sort_unstable();
    same("QoS of the copies", &levels, &vec![0, 1])?;
    let expected = if stage.v5() { vec![9] } else { vec![] };
    came.iter().try_for_each(|message| same("subscription identifiers", &message.identifiers(), &expected))
}

/// A shared subscription gets no retained messages, not for its first member and not for later ones.
fn shared_subscriptions_get_no_replay(stage: &Stage<'_>) -> Check {
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let shared = stage.shared("g", "a");
    let mut first = stage.subscriber("first", &shared, 1)?;
    let mut second = stage.subscriber("second", &shared, 1)?;
    first.quiet()?;
    second.quiet()
}

/// Expiry 1: after two seconds a subscriber gets nothing.
fn expired_retained_message_is_gone(stage: &Stage<'_>) -> Check {
    let message = retained(stage, "a").qos(1).with(Property::MessageExpiryInterval(1));
    stage.connect("pub")?.deliver(&message)?;
    stage.sleep_ms(2200);
    stage.subscriber("late", &stage.topic("a"), 1)?.quiet()
}

/// Expiry 20: after two seconds the replay says 17 or 18.
fn replay_carries_the_seconds_left(stage: &Stage<'_>) -> Check {
    let message = retained(stage, "a").qos(1).with(Property::MessageExpiryInterval(20));
    stage.connect("pub")?.deliver(&message)?;
    stage.sleep_ms(2100);
    let came = stage.subscriber("late", &stage.topic("a"), 1)?.take_of("kept")?;
    let left = came.props().message_expiry_interval();
    ensure(matches!(left, Some(15..=18)), "message expiry reduced to 17 or 18", &came)
}

/// A message without expiry replaces one that expires, and one that expires replaces one that does not.
fn replacement_has_its_own_expiry(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    let expiring = |below| retained(stage, below).qos(1).with(Property::MessageExpiryInterval(1));
    publisher.deliver(&expiring("stays"))?;
    publisher.deliver(&retained(stage, "stays").qos(1))?;
    publisher.deliver(&retained(stage, "goes").qos(1))?;
    publisher.deliver(&expiring("goes"))?;
    stage.sleep_ms(2200);
    let mut late = stage.subscriber("late", &stage.topic("+"), 1)?;
    let came = late.take_of("kept")?;
    same("topic", &came.topic, &stage.topic("stays"))?;
    ensure(came.props().message_expiry_interval().is_none(), "no expiry", &came)?;
    late.quiet()
}

/// Retain Handling 1 after UNSUBSCRIBE: the subscription is new again.
fn handling_1_replays_again_after_unsubscribe(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let mut subscriber = stage.connect("sub")?;
    for _ in 0..3 {
        subscriber.subscribe_one(&topic, handling(RetainHandling::IfNew), &[])?;
        subscriber.take_of("kept")?;
        subscriber.unsubscribe(&topic)?;
    }
    subscriber.quiet()
}

/// An empty retained publish with an expiry clears like any other.
fn clearing_with_an_expiry_is_clearing(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&retained(stage, "a").qos(1))?;
    publisher.deliver(&Message::new(&topic, "").qos(1).retain().with(Property::MessageExpiryInterval(60)))?;
    stage.subscriber("late", &topic, 1)?.quiet()
}

/// A retained QoS 0 message replaces a retained QoS 1 message for good.
fn qos_0_replaces_qos_1(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&retained(stage, "a").qos(1))?;
    publisher.publish(&Message::new(&topic, "newer").retain());
    publisher.ping()?;
    let mut late = stage.subscriber("late", &topic, 1)?;
    same("QoS", &late.take_of("newer")?.qos, &0)?;
    late.quiet()
}

/// Two publishers set and clear as fast as they can: late subscribers find what live ones saw last.
fn racing_set_and_clear_end_alike_for_all(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut live = stage.subscriber("live", &topic, 1)?;
    let mut setter = stage.connect("setter")?;
    let mut clearer = stage.connect("clearer")?;
    let results = std::thread::scope(|scope| {
        let setting = scope.spawn(|| {
            (0..200).try_for_each(|n| setter.deliver(&Message::new(&topic, n.to_string()).qos(1).retain()))
        });
        let clearing = scope
            .spawn(|| (0..200).try_for_each(|_| clearer.deliver(&Message::new(&topic, "").qos(1).retain())));
        let mut last = Message::default();
        for _ in 0..400 {
            last = live.take()?;
        }
        Ok((last, [setting.join(), clearing.join()]))
    });
    let (last, publishing) = results?;
    for result in publishing {
        joined(result)?;
    }
    let expected = if last.payload.is_empty() { Vec::new() } else { vec![last.text()] };
    let late = stage.subscriber("late", &topic, 1)?.take_all(expected.len())?;
    let late: Vec<String> = late.iter().map(Message::text).collect();
    same("what a late subscriber gets,", &late, &expected)
}

/// Twenty times a retained publish races with a SUBSCRIBE: the subscriber sees it, once or twice, before SUBACK or after.
fn set_during_subscribe_is_seen(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    let mut subscriber = stage.connect("sub")?;
    for round in 0..20 {
        let topic = stage.topic(&format!("r{round}"));
        publisher.publish(&Message::new(&topic, "now").qos(1).id(1).retain());
        subscriber.subscribe(&topic, 1)?;
        publisher.expect_puback(1)?;
        let came = subscriber.take()?;
        same("topic", &came.topic, &topic)?;
        subscriber.unsubscribe(&topic)?;
        while let Arrival::Publish(again) = subscriber.next_within(Duration::from_millis(20))? {
            same("topic of a second copy", &again.topic, &topic)?;
            subscriber.acknowledge(&again)?;
        }
    }
    Ok(())
}

/// 400 retained topics are updated while they are replayed to a slow window: no topic shows an old value last.
fn live_updates_never_fall_behind_the_replay(stage: &Stage<'_>) -> Check {
    const TOPICS: u64 = 400;
    let values = |round: u64| -> Vec<Message> {
        (0..TOPICS).map(|n| Message::new(stage.topic(&format!("{n}")), round.to_string()).retain()).collect()
    };
    let mut publisher = stage.connect("pub")?;
    publisher.deliver_all(&values(0))?;
    for login in [stage.login("clean"), stage.login("kept").keep()] {
        let mut subscriber = login.receive_maximum(5).open()?;
        publisher.deliver_all(&values(1))?;
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(3));
                publisher.deliver_all(&values(2))
            });
            subscriber.subscribe(&stage.topic("+"), 1)?;
            let mut last: BTreeMap<String, u64> = BTreeMap::new();
            while last.len() < TOPICS as usize || last.values().any(|&value| value < 2) {
                let message = subscriber.take()?;
                let value = message.number();
                let before = last.insert(message.topic.clone(), value).unwrap_or(0);
                ensure(value >= before, format!("value {before} or newer"), &message)?;
            }
            joined(publishing.join())
        })?;
    }
    Ok(())
}

/// `#` and `+/#` bring no topic that begins with `$`, retained or live.
fn wildcards_at_the_front_hide_system_topics(stage: &Stage<'_>) -> Check {
    let topic = format!("${}", stage.topic("a"));
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&topic, "hidden").retain());
    publisher.ping()?;
    for filter in ["#", "+/#", "+/a"] {
        let mut subscriber = stage.subscriber("sub", filter, 0)?;
        publisher.publish(&Message::new(&topic, "hidden"));
        let until = Instant::now() + Duration::from_millis(1200);
        while let Arrival::Publish(came) =
            subscriber.next_within(until.saturating_duration_since(Instant::now()))?
        {
            ensure(!came.topic.starts_with('$'), format!("no topic that begins with $ for {filter}"), &came)?;
        }
    }
    Ok(())
}

/// A session with a small window breaks off in the middle of a replay: when it comes back, what was open comes again,
/// then the rest of the replay.
fn replay_goes_on_after_a_resume(stage: &Stage<'_>) -> Check {
    const TOPICS: usize = 500;
    let mut publisher = stage.connect("pub")?;
    let messages: Vec<Message> =
        (0..TOPICS).map(|n| Message::new(stage.topic(&format!("r/{n}")), n.to_string()).retain()).collect();
    publisher.deliver_all(&messages)?;
    let kept = stage.login("sub").keep().receive_maximum(10);
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("r/+"), 1)?;
    let first: Vec<Message> = (0..10).map(|_| subscriber.message()).collect::<Check<_>>()?;
    subscriber.cut();
    let mut subscriber = kept.open_with_session(true)?;
    let mut seen = BTreeSet::new();
    for before in first {
        let again = subscriber.take()?;
        same("the same PUBLISH with DUP 1:", &again, &before.dup())?;
        seen.insert(again.number());
    }
    while seen.len() < TOPICS {
        let message = subscriber.take()?;
        ensure(message.retain && seen.insert(message.number()), "each topic once, with RETAIN 1", &message)?;
    }
    subscriber.quiet()
}

/// Retained at `a`: found by `a/#`, `+/a` and `#` below it, not by `a/+`.
fn parent_level_is_replayed(stage: &Stage<'_>) -> Check {
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    for found in ["a/#", "#", "+", "+/#"] {
        stage.subscriber("late", &stage.topic(found), 1)?.take_of("kept")?;
    }
    for missed in ["a/+", "+/+", "a/"] {
        stage.subscriber("late", &stage.topic(missed), 1)?.quiet()?;
    }
    Ok(())
}

/// 100,000 retained topics for a client that reads late: all of them come, and others are served meanwhile.
fn hundred_thousand_are_replayed_to_a_slow_reader(stage: &Stage<'_>) -> Check {
    const TOPICS: usize = 100_000;
    let mut publisher = stage.connect("pub")?;
    for first in (0..TOPICS).step_by(500) {
        let batch: Vec<Message> = (first..first + 500)
            .map(|n| Message::new(stage.topic(&format!("{}/{n}", n % 100)), n.to_string()).retain())
            .collect();
        publisher.publish_all(&batch);
        publisher.ping()?;
    }
    let mut slow = stage.connect("slow")?;
    slow.ask_to_subscribe(1, &[(&stage.topic("#"), options(0))], &[]);
    let mut other = stage.subscriber("other", &format!("{}-other", stage.tag()), 1)?;
    for _ in 0..10 {
        stage.sleep_ms(100);
        let start = Instant::now();
        publisher.deliver(&Message::new(format!("{}-other", stage.tag()), "hello").qos(1))?;
        other.take_of("hello")?;
        let took = start.elapsed();
        ensure(took < Duration::from_secs(2), "others served within 2 s", format!("{took:?}"))?;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < TOPICS {
        match slow.next()? {
            Arrival::Publish(message) => {
                ensure(message.retain && seen.insert(message.number()), "each topic once", &message)?;
            }
            Arrival::SubAck(_) => {}
            came => return Err(slow.differs(format_args!("{TOPICS} topics, {} came", seen.len()), came)),
        }
    }
    slow.quiet()
}

/// A 5.0 publisher retains with properties: a 3.1.1 subscriber gets topic and payload only.
fn replay_from_a_5_0_publisher_has_no_properties(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.login("pub").version(Version::V5).open()?;
    publisher.deliver(&retained(stage, "a").qos(1).with(Property::UserProperty("k", "v")))?;
    let came = stage.subscriber("late", &stage.topic("a"), 1)?.take_of("kept")?;
    ensure(came.retain && came.qos == 1 && came.props().is_empty(), "QoS 1, RETAIN 1", &came)
}

/// Retain As Published 1, handling 0: the stored one with RETAIN 1, others as they were published; to a clean session,
/// to a kept one, and to one that was away meanwhile.
fn replay_has_retain_and_live_as_published(stage: &Stage<'_>) -> Check {
    let as_published = SubscribeOptions { retain_as_published: true, ..options(1) };
    for (login, is_away) in [
        (stage.login("clean"), false),
        (stage.login("kept").keep(), false),
        (stage.login("away").keep(), true),
    ] {
        let topic = stage.topic(login.name());
        let mut publisher = stage.connect("pub")?;
        publisher.deliver(&Message::new(&topic, "kept").qos(1).retain())?;
        let mut subscriber = login.open()?;
        subscriber.subscribe_one(&topic, as_published, &[])?;
        ensure(subscriber.take_of("kept")?.retain, "RETAIN 1 in the replay", "RETAIN 0")?;
        let mut publish = || {
            publisher.deliver(&Message::new(&topic, "plain").qos(1))?;
            publisher.deliver(&Message::new(&topic, "kept too").qos(1).retain())
        };
        if is_away {
            subscriber.cut();
            publish()?;
            subscriber = login.open_with_session(true)?;
        } else {
            publish()?;
        }
        ensure(!subscriber.take_of("plain")?.retain, "RETAIN 0 as published", "RETAIN 1")?;
        ensure(subscriber.take_of("kept too")?.retain, "RETAIN 1 as published", "RETAIN 0")?;
        subscriber.quiet()?;
    }
    Ok(())
}

/// Retain As Published 0: a live message published with RETAIN 1 arrives with RETAIN 0.
fn live_messages_lose_retain_without_retain_as_published(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.subscriber("sub", &stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let came = subscriber.take_of("kept")?;
    ensure(!came.retain, "RETAIN 0", &came)
}

/// A retained message larger than the client's limit is skipped, the others come.
fn too_large_for_this_client_is_skipped(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(stage.topic("a/large"), [b'x'; 300]).qos(1).retain())?;
    publisher.deliver(&retained(stage, "a/small").qos(1))?;
    let mut late = stage.login("late").with(Property::MaximumPacketSize(200)).open()?;
    late.subscribe(&stage.topic("a/#"), 1)?;
    late.take_of("kept")?;
    late.quiet()
}

/// An empty retained publish reaches live subscribers, and late ones get nothing.
fn clearing_is_forwarded_and_not_stored(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    let mut live = stage.subscriber("live", &topic, 1)?;
    publisher.deliver(&retained(stage, "a").qos(1))?;
    publisher.deliver(&Message::new(&topic, "").qos(1).retain())?;
    live.take_of("kept")?;
    live.take_of("")?;
    stage.subscriber("late", &topic, 1)?.quiet()
}

/// RETAIN 0 neither stores nor replaces, not with an empty payload either.
fn plain_publish_leaves_the_retained_message(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&retained(stage, "a").qos(1))?;
    publisher.deliver(&Message::new(&topic, "plain").qos(1))?;
    publisher.deliver(&Message::new(&topic, "").qos(1))?;
    publisher.deliver(&Message::new(stage.topic("b"), "plain").qos(1))?;
    let mut late = stage.subscriber("late", &stage.topic("#"), 1)?;
    late.take_of("kept")?;
    late.quiet()
}

/// What an established subscription gets has RETAIN 0, whatever the publisher set.
fn established_subscriptions_see_retain_0(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.subscriber("sub", &stage.topic("a"), 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in 0..=2 {
        publisher.deliver(&retained(stage, "a").qos(qos))?;
        let came = subscriber.take_of("kept")?;
        ensure(!came.retain, "RETAIN 0", &came)?;
    }
    Ok(())
}

/// Retain Handling 2: no replay.
fn handling_2_replays_nothing(stage: &Stage<'_>) -> Check {
    stage.connect("pub")?.deliver(&retained(stage, "a").qos(1))?;
    let mut subscriber = stage.connect("sub")?;
    subscriber.subscribe_one(&stage.topic("a"), handling(RetainHandling::Never), &[])?;
    subscriber.quiet()
}

/// Every property of a retained message comes back in the replay, user properties in order.
fn retained_message_keeps_its_properties(stage: &Stage<'_>) -> Check {
    let pairs = [("z", "1"), ("a", "2"), ("z", "1"), ("", "")];
    let mut message = retained(stage, "a")
        .qos(1)
        .with(Property::PayloadFormatIndicator(true))
        .with(Property::ContentType("text/plain"))
        .with(Property::ResponseTopic("answer"))
        .with(Property::CorrelationData(b""));
    for (name, value) in pairs {
        message = message.with(Property::UserProperty(name, value));
    }
    stage.connect("pub")?.deliver(&message)?;
    let came = stage.subscriber("late", &stage.topic("a"), 1)?.take_of("kept")?;
    let props = came.props();
    same("payload format", &props.payload_format_indicator(), &Some(true))?;
    same("content type", &props.content_type(), &Some("text/plain"))?;
    same("response topic", &props.response_topic(), &Some("answer"))?;
    same("empty correlation data", &props.correlation_data(), &Some(&b""[..]))?;
    same("user properties", &props.user_properties().collect::<Vec<_>>(), &pairs.to_vec())
}

/// No Local: what the client itself retained is not replayed to it, what others retained is.
fn no_local_hides_own_retained_messages(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    client.deliver(&Message::new(stage.topic("a/own"), "own").qos(1).retain())?;
    stage.connect("pub")?.deliver(&retained(stage, "a/other").qos(1))?;
    let mut no_local = options(1);
    no_local.no_local = true;
    client.subscribe_one(&stage.topic("a/#"), no_local, &[])?;
    client.take_of("kept")?;
    client.quiet()
}

/// The publisher's session ends: its retained message stays.
fn retained_message_outlives_its_publisher(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&retained(stage, "a").qos(1))?;
    publisher.disconnect();
    stage.connect("pub")?.disconnect();
    stage.subscriber("late", &stage.topic("a"), 1)?.take_of("kept").map(drop)
}

/// A wildcard over a hundred retained topics brings each of them once, with RETAIN 1.
fn a_hundred_topics_are_replayed(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    let messages: Vec<Message> = (0..100_u64)
        .map(|n| Message::new(stage.topic(&format!("a/{n}/x")), n.to_string()).retain())
        .collect();
    publisher.deliver_all(&messages)?;
    let mut late = stage.subscriber("late", &stage.topic("a/+/x"), 2)?;
    let came = take_many(&mut late, 100)?;
    let numbers: BTreeSet<u64> = came.iter().map(Message::number).collect();
    same("different messages", &numbers.len(), &100)?;
    ensure(came.iter().all(|message| message.retain), "RETAIN 1 in each", "RETAIN 0")?;
    late.quiet()
}

fn take_many(peer: &mut Peer, count: usize) -> Check<Vec<Message>> {
    (0..count).map(|_| peer.take()).collect()
}

/// A retained message "kept" at QoS 0 below this scene's topics.
fn retained(stage: &Stage<'_>, below: &str) -> Message {
    Message::new(stage.topic(below), "kept").retain()
}

fn handling(retain_handling: RetainHandling) -> SubscribeOptions {
    SubscribeOptions { retain_handling, ..options(1) }
}
