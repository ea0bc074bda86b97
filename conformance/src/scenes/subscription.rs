//! Subscriptions: matching, overlap, options, identifiers, replacing and ending. Hard cases F.

use std::time::Duration;

use longwire_proto::packet::{RetainHandling, SubscribeOptions};
use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, ensure, joined, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    both overlapping_filters_bring_one_copy_at_the_highest_qos "F01" "3.3.5-1" "3.3.4-2 3.3.4-3 3.3.4-4";
    v5 overlap_where_one_filter_is_not_local "F02" "3.8.3-3 3.3.4-4";
    v5 overlap_where_one_filter_keeps_retain "F03" "3.3.1-13";
    v5 equal_identifiers_are_listed_each "F04" "3.3.4-4";
    v5 subscribing_again_replaces_the_identifier "F05 U5-35" "3.8.4-3";
    v5 queued_messages_take_the_new_identifier "F05 U5-36" "3.8.4-3";
    v5 offline_messages_keep_their_identifiers "F06" "3.3.4-3";
    v5 identifier_from_a_publisher_is_refused "F07 U5-27" "3.3.4-6";
    v5 no_local_goes_by_client_id "F08" "3.8.3-3";
    v5 no_local_on_a_shared_filter_is_refused_whole "F09" "3.8.3-4";
    both one_refused_filter_among_good_ones "F10 U5-58" "3.8.4-5 3.9.3-1 3.9.3-2" "3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2";
    both one_malformed_filter_refuses_all "F10" "4.7.1-2 4.7.1-3" "4.7.1-1 4.7.1-2";
    both same_filter_twice_in_one_subscribe "F11" "3.8.4-4" "3.8.4-5 3.8.4-6";
    both granted_qos_bounds_live_deliveries "F12" "3.8.4-6" "3.8.4-8";
    both granted_qos_bounds_queued_deliveries "F12" "3.8.4-6" "3.8.4-8";
    both unsubscribe_compares_bytes "F13" "3.10.4-1 3.10.4-5" "3.10.4-1 3.10.4-5";
    both unsubscribing_one_of_two_overlapping_filters "F14" "3.10.4-1" "3.10.4-1 3.3.4-3";
    both dollar_topics_hide_from_leading_wildcards "F15" "4.7.2-1" "4.7.2-1";
    both filters_match_as_written "F16" "3.3.2-3 4.7.1-2 4.7.1-3 4.7.3-1" "3.3.2-3 4.7.1-1 4.7.1-2 4.7.3-1";
    both longest_topic_works "F17" "4.7.3-3" "4.7.3-3";
    both too_many_levels_are_refused_gently "F17 U5-58" "3.3.5-2 3.8.4-5" "3.8.4-7 3.4.2-1";
    both look_alikes_are_different_topics "F18" "4.7.3-4 1.5.3-3" "4.7.3-4 1.5.4-3";
    both reserved_topics_are_not_delivered "F19 I11 U3-09" "3.3.5-2" "3.4.2-1 3.5.2-1";
    both shared_and_plain_subscription_of_one_client "F20 U5-49" "4.5.0-1" "3.3.4-5";
    both ten_thousand_filters_in_one_subscribe "F21" "3.9.3-1" "3.9.3-1";
    both subscribing_again_with_another_qos_replaces "" "3.8.4-3" "3.8.4-3";
    both several_requests_in_flight_keep_their_ids "" "2.3.1-7 3.8.4-1 3.8.4-2 3.10.4-4" "2.2.1-6 3.8.4-1 3.8.4-2 3.10.4-4";
    both unsubscribing_several_filters_at_once "" "3.10.4-6 3.10.4-2" "3.10.4-6 3.11.3-1 3.11.3-2";
    both unsubscribe_lets_begun_deliveries_finish "" "3.10.4-3" "3.10.4-3";
    both resubscribing_under_load_loses_nothing "" "3.8.4-3" "3.8.4-4";
    both changing_a_kept_subscription_under_load_loses_nothing "" "3.8.4-3 3.8.4-4" "3.8.4-4 3.8.4-3";
    v5 waiting_messages_survive_a_change_to_qos_0 "F05" "3.8.4-4";
    v5 waiting_messages_survive_the_loss_of_one_filter "F14" "3.10.4-3 3.8.4-8";
    both second_filter_under_load_changes_no_delivery "F01 F14" "3.3.5-1 3.8.4-3" "3.3.4-2 3.8.4-4";
    v5 identifier_range_is_whole "U5-26" "3.3.4-3";
    v5 application_properties_travel_unchanged "" "3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20";
    both qos_0_deliveries_have_no_id "" "2.3.1-5" "2.2.1-2";
    both message_reaches_every_subscriber "" "4.5.0-1" "4.5.0-1";
}

/// `a/#` QoS 1 and `a/b` QoS 2: one copy at QoS 2, in 5.0 with both identifiers.
fn overlapping_filters_bring_one_copy_at_the_highest_qos(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    subscribe_as(&mut subscriber, &stage.topic("a/#"), options(1), 1)?;
    subscribe_as(&mut subscriber, &stage.topic("a/b"), options(2), 2)?;
    subscriber.subscribe(&stage.topic("+/b"), 0)?;
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a/b"), "x").qos(2))?;
    let came = subscriber.take_of("x")?;
    same("QoS", &came.qos, &2)?;
    let expected = if stage.v5() { vec![1, 2] } else { vec![] };
    same("subscription identifiers", &came.identifiers(), &expected)?;
    subscriber.quiet()
}

/// No Local on one of two matching filters: the own message comes by the other, with its identifier alone.
fn overlap_where_one_filter_is_not_local(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    let no_local = SubscribeOptions { no_local: true, ..options(2) };
    subscribe_as(&mut client, &stage.topic("a/#"), no_local, 1)?;
    subscribe_as(&mut client, &stage.topic("a/b"), options(1), 2)?;
    client.deliver(&Message::new(stage.topic("a/b"), "x").qos(2))?;
    let came = client.take_of("x")?;
    same("subscription identifiers", &came.identifiers(), &vec![2])?;
    same("QoS", &came.qos, &1)?;
    client.quiet()
}

/// Retain As Published on one of two matching filters: one copy with RETAIN 1.
fn overlap_where_one_filter_keeps_retain(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    let as_published = SubscribeOptions { retain_as_published: true, ..options(1) };
    subscriber.subscribe_one(&stage.topic("a/#"), as_published, &[])?;
    subscriber.subscribe(&stage.topic("a/b"), 1)?;
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a/b"), "x").qos(1).retain())?;
    let came = subscriber.take_of("x")?;
    ensure(came.retain, "RETAIN 1", &came)?;
    subscriber.quiet()
}

/// Two matching filters with identifier 5: the one copy lists 5 twice.
fn equal_identifiers_are_listed_each(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    let (wide, exact) = (stage.topic("a/#"), stage.topic("a/b"));
    subscriber
        .subscribe_to(&[(&wide, options(1)), (&exact, options(1))], &[Property::SubscriptionIdentifier(5)])?;
    stage.connect("pub")?.deliver(&Message::new(exact, "x").qos(1))?;
    same("subscription identifiers", &subscriber.take_of("x")?.identifiers(), &vec![5, 5])?;
    subscriber.quiet()
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

/// What was queued while the session was offline carries the identifiers it matched.
fn offline_messages_keep_their_identifiers(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscribe_as(&mut subscriber, &stage.topic("a/#"), options(1), 7)?;
    subscribe_as(&mut subscriber, &stage.topic("a/b"), options(1), 8)?;
    subscriber.cut();
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a/b"), "x").qos(1))?;
    let came = kept.open_with_session(true)?.take_of("x")?;
    same("subscription identifiers", &came.identifiers(), &vec![7, 8])
}

/// A PUBLISH from a client with a Subscription Identifier: 0x82, close, and nobody gets it.
fn identifier_from_a_publisher_is_refused(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    let bytes = craft::publish(stage.version, 0, topic.as_bytes(), None, &[0x0B, 1], b"x");
    publisher.raw("PUBLISH with subscription identifier 1", &bytes);
    publisher.expect_close(0x82, &[0x81])?;
    subscriber.quiet()
}

/// No Local belongs to the client id: it still holds after a resume from another socket.
fn no_local_goes_by_client_id(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("client").keep();
    let mut client = kept.open()?;
    client.subscribe_one(&topic, SubscribeOptions { no_local: true, ..options(1) }, &[])?;
    client.deliver(&Message::new(&topic, "own").qos(1))?;
    client.quiet()?;
    client.cut();
    let mut client = kept.open_with_session(true)?;
    client.deliver(&Message::new(&topic, "own").qos(1))?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "other").qos(1))?;
    client.take_of("other")?;
    client.quiet()
}

/// No Local on a shared filter: 0x82 and close, and the good filter beside it is not subscribed.
fn no_local_on_a_shared_filter_is_refused_whole(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    let body =
        craft::join(&[&[0, 1, 0], &craft::field(&topic), &[1], &craft::field(stage.shared("g", "b")), &[5]]);
    subscriber.raw("SUBSCRIBE with No Local on a shared filter", &craft::frame(0x82, &body));
    subscriber.expect_close(0x82, &[0x81])?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "x").qos(1))?;
    kept.open_with_session(true)?.quiet()
}

/// A filter with too many levels among good ones: its code says so, the good ones are granted.
fn one_refused_filter_among_good_ones(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    let (first, refused, last) = (stage.topic("a"), too_deep(stage), stage.topic("c"));
    let filters = [(first.as_str(), options(2)), (&refused, options(1)), (&last, options(0))];
    let grants = subscriber.subscribe_to(&filters, &[])?;
    let refusal = if stage.v5() { 0x8F } else { 0x80 };
    same("SUBACK codes", &grants.codes, &vec![2, refusal, 0])?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&first, "x").qos(2))?;
    subscriber.take_of("x")?;
    publisher.deliver(&Message::new(&last, "y").qos(2))?;
    subscriber.take_of("y")?;
    subscriber.quiet()
}

/// A malformed filter beside a good one: 0x81 and close, and the good one is not subscribed.
fn one_malformed_filter_refuses_all(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    for bad in ["a#", "a/#/b", "#/a", "##", "a+", "+a", "a/b+", "a/+b/c", ""] {
        let kept = stage.login("sub").keep();
        let mut subscriber = kept.open()?;
        let options: &[u8] = &[1];
        let properties = craft::properties(stage.version, &[]);
        let filters = craft::join(&[&craft::field(&topic), options, &craft::field(bad), options]);
        let bytes = craft::frame(0x82, &craft::join(&[&[0, 1], &properties, &filters]));
        subscriber.raw(&format!("SUBSCRIBE to a good filter and {bad:?}"), &bytes);
        subscriber.expect_close(0x81, &[0x82, 0x8F])?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        kept.open_with_session(true)?.quiet_for(Duration::from_millis(50))?;
        stage.login("sub").open()?.disconnect();
    }
    Ok(())
}

/// One filter twice: two codes, the last options win, a replay for each.
fn same_filter_twice_in_one_subscribe(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "kept").qos(2).retain())?;
    let mut subscriber = stage.connect("sub")?;
    let grants = subscriber.subscribe_to(&[(&topic, options(2)), (&topic, options(1))], &[])?;
    same("SUBACK codes", &grants.codes, &vec![2, 1])?;
    let replayed = subscriber.take_all(2)?.len();
    ensure(replayed == 2, "two retained copies, one per filter", replayed)?;
    publisher.deliver(&Message::new(&topic, "live").qos(2))?;
    same("QoS", &subscriber.take_of("live")?.qos, &1)?;
    subscriber.quiet()
}

/// Published at 0, 1, 2 and granted 0, 1, 2: the lower of both.
fn granted_qos_bounds_live_deliveries(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    for granted in 0..=2 {
        let mut subscriber = stage.subscriber("sub", &topic, granted)?;
        for published in 0..=2_u8 {
            publisher.deliver(&Message::new(&topic, "x").qos(published))?;
            same("QoS", &subscriber.take_of("x")?.qos, &published.min(granted))?;
        }
    }
    Ok(())
}

/// The same for messages that waited for an offline session.
fn granted_qos_bounds_queued_deliveries(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    for granted in 1..=2 {
        let kept = stage.login("sub").keep();
        let mut subscriber = kept.open()?;
        subscriber.subscribe(&topic, granted)?;
        subscriber.cut();
        for published in 1..=2 {
            publisher.deliver(&Message::new(&topic, "x").qos(published))?;
        }
        let mut subscriber = kept.open_with_session(true)?;
        for published in 1..=2_u8 {
            same("QoS", &subscriber.take_of("x")?.qos, &published.min(granted))?;
        }
        subscriber.quiet()?;
    }
    Ok(())
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

/// A topic that begins with `$` is not matched by `+/…`, shared or not; deeper `$` levels are ordinary.
fn dollar_topics_hide_from_leading_wildcards(stage: &Stage<'_>) -> Check {
    let tag = stage.tag();
    let mut subscriber = stage.subscriber("sub", &format!("+/{tag}/#"), 1)?;
    let mut member = stage.subscriber("member", &format!("$share/g{tag}/+/{tag}/#"), 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(format!("$app/{tag}/hidden"), "hidden"));
    publisher.deliver(&Message::new(format!("app/{tag}/$seen"), "seen").qos(1))?;
    subscriber.take_of("seen")?;
    member.take_of("seen")?;
    subscriber.quiet()?;
    member.quiet()
}

/// Filters against topics, empty levels included.
fn filters_match_as_written(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    for (filter, matching, other) in MATCHES {
        let mut subscriber = stage.subscriber("sub", &stage.topic(filter), 1)?;
        for topic in *other {
            publisher.deliver(&Message::new(stage.topic(topic), "must not match").qos(1))?;
        }
        for topic in *matching {
            publisher.deliver(&Message::new(stage.topic(topic), "x").qos(1))?;
            let came = subscriber.take_of("x")?;
            same(&format!("topic for {filter}"), &came.topic, &stage.topic(topic))?;
        }
    }
    Ok(())
}

/// Filter, topics that match it, topics that do not.
const MATCHES: &[(&str, &[&str], &[&str])] = &[
    ("a/b", &["a/b"], &["a", "a/b/", "a/b/c", "/a/b", "A/b", "a/B"]),
    ("a/+/b", &["a//b", "a/x/b", "a/ /b"], &["a/b", "a/x/y/b", "a/x/b/"]),
    ("a/+", &["a/", "a/b"], &["a", "a/b/c", "a//"]),
    ("a/", &["a/"], &["a", "a//", "a/b"]),
    ("+/+", &["/", "/b", "a/", "a/b"], &["a", "//", "a/b/c"]),
    ("+", &["", "a"], &["/", "a/"]),
    ("a/#", &["a", "a/", "a//", "a/b/c/d"], &["ab", "b/a", "/a"]),
    ("a/+/#", &["a/", "a/b", "a/b/c"], &["a"]),
    ("+/b/#", &["/b", "a/b", "a/b/c"], &["b", "a/c/b"]),
    ("a b/ c", &["a b/ c"], &["ab/c", "a b/c"]),
];

/// A topic of 65,535 bytes in few levels works from end to end.
fn longest_topic_works(stage: &Stage<'_>) -> Check {
    let prefix = stage.topic("long/");
    let topic = format!("{prefix}{}", "x".repeat(65_535 - prefix.len()));
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "x").qos(1))?;
    let came = subscriber.take_of("x")?;
    ensure(came.topic == topic, "the same topic", format!("one of {} bytes", came.topic.len()))
}

/// 201 levels, and 65,535 slashes: refused by code, dropped at QoS 0, and the link stays.
fn too_many_levels_are_refused_gently(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    for topic in [too_deep(stage), "/".repeat(65_535)] {
        client.publish(&Message::new(&topic, "x"));
        client.publish(&Message::new(&topic, "x").qos(1).id(9));
        let code = if stage.v5() { 0x90 } else { 0 };
        client.expect(format_args!("PUBACK id 9 code 0x{code:02X}"), |arrival| match arrival {
            Arrival::PubAck(ack) if ack.id == 9 && ack.code == code => Some(()),
            _ => None,
        })?;
        let grants = client.subscribe_to(&[(&topic, options(1))], &[])?;
        let code = if stage.v5() { 0x8F } else { 0x80 };
        same("SUBACK codes", &grants.codes, &vec![code])?;
    }
    client.quiet()
}

/// Composed and decomposed letters, case, and U+FEFF make different topics, delivered byte for byte.
fn look_alikes_are_different_topics(stage: &Stage<'_>) -> Check {
    let names = ["caf\u{e9}", "cafe\u{301}", "Caf\u{e9}", "\u{feff}caf\u{e9}", "caf\u{e9} "];
    let mut subscriber = stage.connect("sub")?;
    let mut publisher = stage.connect("pub")?;
    for subscribed in names {
        subscriber.subscribe(&stage.topic(subscribed), 1)?;
        for name in names {
            publisher.deliver(&Message::new(stage.topic(name), "x").qos(1))?;
        }
        same("topic", &subscriber.take_of("x")?.topic, &stage.topic(subscribed))?;
        subscriber.unsubscribe(&stage.topic(subscribed))?;
    }
    let first = format!("\u{feff}{}", stage.topic("a"));
    subscriber.subscribe(&first, 1)?;
    publisher.deliver(&Message::new(stage.topic("a"), "without").qos(1))?;
    publisher.deliver(&Message::new(&first, "with").qos(1))?;
    same("topic", &subscriber.take_of("with")?.topic, &first)?;
    subscriber.quiet()
}

/// A publish to a `$share/…` name is refused with 0x90, one to `$SYS/…` goes nowhere; the link stays.
fn reserved_topics_are_not_delivered(stage: &Stage<'_>) -> Check {
    let share = stage.shared("g", "a");
    let system = format!("$SYS/{}", stage.topic("a"));
    let mut subscriber = stage.subscriber("sub", &stage.topic("#"), 2)?;
    subscriber.subscribe(&system, 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in 0..=2 {
        publisher.publish(&Message::new(&system, "x").qos(qos).id(7));
        publisher.publish(&Message::new(&share, "x").qos(qos).id(8));
        let expected = if stage.v5() { 0x90 } else { 0 };
        let mut open = Vec::new();
        for (id, strict) in [(7, false), (8, true)].into_iter().filter(|_| qos > 0) {
            let came = publisher.next()?;
            let code = match &came {
                Arrival::PubAck(ack) if qos == 1 && ack.id == id => ack.code,
                Arrival::PubRec(ack) if qos == 2 && ack.id == id => ack.code,
                other => return Err(publisher.differs(format_args!("the acknowledgement of id {id}"), other)),
            };
            ensure(!strict || code == expected, format!("code 0x{expected:02X}"), &came)?;
            open.extend((qos == 2 && code < 0x80).then_some(id));
        }
        for id in open {
            publisher.pubrel(id);
            publisher.expect_pubcomp(id)?;
        }
    }
    publisher.quiet()?;
    subscriber.quiet()
}

/// A shared and a plain subscription of one client: at most a copy for each, both identifiers in all.
fn shared_and_plain_subscription_of_one_client(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    subscribe_as(&mut subscriber, &stage.topic("a"), options(1), 1)?;
    subscribe_as(&mut subscriber, &stage.shared("g", "a"), options(1), 2)?;
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a"), "x").qos(1))?;
    let came = subscriber.take_all(1)?;
    ensure(matches!(came.len(), 1 | 2), "one or two copies", came.len())?;
    let mut identifiers: Vec<u32> = came.iter().flat_map(Message::identifiers).collect();
    identifiers.sort_unstable();
    let expected = if stage.v5() { vec![1, 2] } else { vec![] };
    same("subscription identifiers of all copies", &identifiers, &expected)
}

/// 10,000 filters at once: as many codes in the same order, and the last filter works.
fn ten_thousand_filters_in_one_subscribe(stage: &Stage<'_>) -> Check {
    let names: Vec<String> = (0..10_000).map(|n| stage.topic(&n.to_string())).collect();
    let qos_of = |n: usize| (n * 7 % 3) as u8;
    let filters: Vec<_> =
        names.iter().enumerate().map(|(n, name)| (name.as_str(), options(qos_of(n)))).collect();
    let mut subscriber = stage.connect("sub")?;
    let grants = subscriber.subscribe_to(&filters, &[])?;
    let expected: Vec<u8> = (0..names.len()).map(qos_of).collect();
    ensure(grants.codes == expected, "the codes in the order of the filters", &grants)?;
    stage.connect("pub")?.deliver(&Message::new(&names[9_999], "last").qos(1))?;
    subscriber.take_of("last").map(drop)
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

/// Ten SUBSCRIBEs and ten UNSUBSCRIBEs without waiting: each is answered with its id, in order.
fn several_requests_in_flight_keep_their_ids(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    let ids = [9_u16, 65_535, 1, 300, 2];
    for id in ids {
        client.ask_to_subscribe(id, &[(&stage.topic(&id.to_string()), options(1))], &[]);
    }
    for id in ids {
        client.expect(format_args!("SUBACK id {id}"), |arrival| match arrival {
            Arrival::SubAck(grants) if grants.id == id => Some(()),
            _ => None,
        })?;
    }
    for id in ids {
        let properties = craft::properties(stage.version, &[]);
        let filter = craft::field(stage.topic(&id.to_string()));
        client.raw(
            "UNSUBSCRIBE",
            &craft::frame(0xA2, &craft::join(&[&id.to_be_bytes(), &properties, &filter])),
        );
    }
    for id in ids {
        client.expect(format_args!("UNSUBACK id {id}"), |arrival| match arrival {
            Arrival::UnsubAck(grants) if grants.id == id => Some(()),
            _ => None,
        })?;
    }
    client.quiet()
}

/// Known, unknown, known: one UNSUBACK, in 5.0 with 00 11 00, and both known ones are gone.
fn unsubscribing_several_filters_at_once(stage: &Stage<'_>) -> Check {
    let names = [stage.topic("a"), stage.topic("unknown"), stage.topic("c")];
    let mut subscriber = stage.connect("sub")?;
    subscriber.subscribe(&names[0], 1)?;
    subscriber.subscribe(&names[2], 1)?;
    let grants = subscriber.unsubscribe_from(&[&names[0], &names[1], &names[2]])?;
    let expected = if stage.v5() { vec![0, 0x11, 0] } else { vec![] };
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

/// Identifiers 1, 127, 128 and 268,435,455 come back as they were given.
fn identifier_range_is_whole(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    let mut subscriber = stage.connect("sub")?;
    for identifier in [1, 127, 128, 16_384, 2_097_152, 268_435_455] {
        let topic = stage.topic(&identifier.to_string());
        subscribe_as(&mut subscriber, &topic, options(1), identifier)?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        same("subscription identifiers", &subscriber.take_of("x")?.identifiers(), &vec![identifier])?;
    }
    Ok(())
}

/// Every application property arrives as it was sent: user properties in order, binary data with zeros.
fn application_properties_travel_unchanged(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let pairs = [("d", "4"), ("a", "1"), ("d", "4"), ("", ""), ("c", ""), ("", "3"), ("b", "2"), ("a", "0")];
    let mut message = Message::new(&topic, "x")
        .with(Property::PayloadFormatIndicator(false))
        .with(Property::ContentType("application/x-\u{e9}"))
        .with(Property::ResponseTopic("answer/\u{e9}"))
        .with(Property::CorrelationData(&[0, 255, 0, 1]));
    for (name, value) in pairs {
        message = message.with(Property::UserProperty(name, value));
    }
    let mut publisher = stage.connect("pub")?;
    for qos in 0..=2 {
        publisher.deliver(&message.clone().qos(qos))?;
        let came = subscriber.take_of("x")?;
        let props = came.props();
        same("payload format", &props.payload_format_indicator(), &Some(false))?;
        same("content type", &props.content_type(), &Some("application/x-\u{e9}"))?;
        same("response topic", &props.response_topic(), &Some("answer/\u{e9}"))?;
        same("correlation data", &props.correlation_data(), &Some(&[0, 255, 0, 1][..]))?;
        same("user properties", &props.user_properties().collect::<Vec<_>>(), &pairs.to_vec())?;
        same("number of properties", &props.iter().count(), &(4 + pairs.len()))?;
    }
    Ok(())
}

/// A QoS 0 delivery has the payload right behind the topic (and the property length).
fn qos_0_deliveries_have_no_id(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&topic, [0, 7, 1, 2]));
    let bytes = craft::publish(stage.version, 0, topic.as_bytes(), None, &[], &[0, 7, 1, 2]);
    subscriber.expect_bytes(&bytes)
}

/// Twenty subscribers by different filters, online and offline, each get one copy.
fn message_reaches_every_subscriber(stage: &Stage<'_>) -> Check {
    let filters = ["a/b", "a/+", "a/#", "#", "+/b"];
    let mut online = Vec::new();
    for (number, filter) in (0..10).zip(filters.iter().cycle()) {
        online.push(stage.subscriber(&format!("on{number}"), &stage.topic(filter), 1)?);
        let mut offline = stage.login(&format!("off{number}")).keep().open()?;
        offline.subscribe(&stage.topic(filter), 1)?;
        offline.cut();
    }
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a/b"), "x").qos(1))?;
    for (number, peer) in online.iter_mut().enumerate() {
        peer.take_of("x")?;
        peer.quiet_for(Duration::from_millis(20))?;
        let mut offline = stage.login(&format!("off{number}")).keep().open_with_session(true)?;
        offline.take_of("x")?;
        offline.quiet_for(Duration::from_millis(20))?;
    }
    Ok(())
}

/// Subscribes with an identifier, which falls away before 5.0; no replay.
fn subscribe_as(peer: &mut Peer, filter: &str, options: SubscribeOptions, identifier: u32) -> Check {
    let retain_handling = if peer.v5() { RetainHandling::Never } else { RetainHandling::AtSubscribe };
    let options = SubscribeOptions { retain_handling, ..options };
    peer.subscribe_one(filter, options, &[Property::SubscriptionIdentifier(identifier)]).map(drop)
}

/// A name of 201 levels.
fn too_deep(stage: &Stage<'_>) -> String {
    stage.topic(&vec!["x"; 200].join("/"))
}
