//! What a subscription brings: overlap, options, identifiers, granted QoS and properties. Hard cases F.

use longwire_proto::packet::{RetainHandling, SubscribeOptions};
use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::{Login, Stage};

scenes! {
    both overlapping_filters_bring_one_copy_at_the_highest_qos "F01" "3.3.5-1" "3.3.4-2 3.3.4-3 3.3.4-4";
    v5 overlap_where_one_filter_is_not_local "F02" "3.8.3-3 3.3.4-4";
    v5 overlap_where_one_filter_keeps_retain "F03" "3.3.1-13";
    v5 equal_identifiers_are_listed_each "F04" "3.3.4-4";
    v5 offline_messages_keep_their_identifiers "F06" "3.3.4-3";
    v5 deliveries_sent_again_keep_their_identifiers "A05" "3.3.4-3 4.4.0-1";
    v5 identifier_from_a_publisher_is_refused "F07 U5-27" "3.3.4-6";
    v5 no_local_goes_by_client_id "F08" "3.8.3-3";
    v5 no_local_on_a_shared_filter_is_refused_whole "F09" "3.8.3-4";
    both same_filter_twice_in_one_subscribe "F11" "3.8.4-4" "3.8.4-5 3.8.4-6";
    both granted_qos_bounds_live_deliveries "F12" "3.8.4-6" "3.8.4-8";
    both granted_qos_bounds_queued_deliveries "F12" "3.8.4-6" "3.8.4-8";
    both shared_and_plain_subscription_of_one_client "F20 U5-49" "4.5.0-1" "3.3.4-5";
    both ten_thousand_filters_in_one_subscribe "F21" "3.9.3-1" "3.9.3-1";
    both several_requests_in_flight_keep_their_ids "" "2.3.1-7 3.8.4-1 3.8.4-2 3.10.4-4" "2.2.1-6 3.8.4-1 3.8.4-2 3.10.4-4";
    v5 identifier_range_is_whole "U5-26" "3.3.4-3";
    v5 application_properties_travel_unchanged "" "3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20";
    both qos_0_deliveries_have_no_id "" "2.3.1-5" "2.2.1-2";
}

/// `a/#` QoS 1 and `a/b` QoS 2: one copy at QoS 2, in 5.0 with both identifiers.
fn overlapping_filters_bring_one_copy_at_the_highest_qos(stage: &Stage<'_>) -> Check {
    for (login, below) in clean_and_kept(stage) {
        let mut subscriber = login.open()?;
        subscribe_as(&mut subscriber, &below("a/#"), options(1), 1)?;
        subscribe_as(&mut subscriber, &below("a/b"), options(2), 2)?;
        subscriber.subscribe(&below("+/b"), 0)?;
        stage.connect("pub")?.deliver(&Message::new(below("a/b"), "x").qos(2))?;
        let came = subscriber.take_of("x")?;
        same("QoS", &came.qos, &2)?;
        let expected = if stage.v5() { vec![1, 2] } else { vec![] };
        same("subscription identifiers", &came.identifiers(), &expected)?;
        subscriber.quiet()?;
    }
    Ok(())
}

/// No Local on one of two matching filters: the own message comes by the other, with its identifier alone.
fn overlap_where_one_filter_is_not_local(stage: &Stage<'_>) -> Check {
    for (login, below) in clean_and_kept(stage) {
        let mut client = login.open()?;
        let no_local = SubscribeOptions { no_local: true, ..options(2) };
        subscribe_as(&mut client, &below("a/#"), no_local, 1)?;
        subscribe_as(&mut client, &below("a/b"), options(1), 2)?;
        for qos in 0..=2_u8 {
            client.deliver(&Message::new(below("a/b"), "x").qos(qos))?;
            let came = client.take_of("x")?;
            same("subscription identifiers", &came.identifiers(), &vec![2])?;
            same("QoS", &came.qos, &qos.min(1))?;
        }
        client.deliver(&Message::new(below("a/c"), "hidden").qos(2))?;
        client.quiet()?;
    }
    Ok(())
}

/// Retain As Published on one of two matching filters: one copy with RETAIN 1.
fn overlap_where_one_filter_keeps_retain(stage: &Stage<'_>) -> Check {
    for (login, below) in clean_and_kept(stage) {
        let mut subscriber = login.open()?;
        let as_published = SubscribeOptions { retain_as_published: true, ..options(1) };
        subscriber.subscribe_one(&below("a/#"), as_published, &[])?;
        subscriber.subscribe(&below("a/b"), 1)?;
        for qos in 0..=2 {
            stage.connect("pub")?.deliver(&Message::new(below("a/b"), "x").qos(qos).retain())?;
            let came = subscriber.take_of("x")?;
            ensure(came.retain, "RETAIN 1", &came)?;
        }
        subscriber.quiet()?;
    }
    Ok(())
}

/// Two matching filters with identifier 5: the one copy lists 5 twice.
fn equal_identifiers_are_listed_each(stage: &Stage<'_>) -> Check {
    for (login, below) in clean_and_kept(stage) {
        let mut subscriber = login.open()?;
        let (wide, exact) = (below("a/#"), below("a/b"));
        let five = Property::SubscriptionIdentifier(5);
        subscriber.subscribe_to(&[(&wide, options(1)), (&exact, options(1))], &[five])?;
        stage.connect("pub")?.deliver(&Message::new(exact, "x").qos(1))?;
        same("subscription identifiers", &subscriber.take_of("x")?.identifiers(), &vec![5, 5])?;
        subscriber.quiet()?;
    }
    Ok(())
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

/// A message, a retained one and one of a shared group are open when their session comes back: each comes again with the
/// identifiers that it had.
fn deliveries_sent_again_keep_their_identifiers(stage: &Stage<'_>) -> Check {
    let (plain, shared, kept_topic) =
        (stage.topic("plain"), stage.shared("g", "shared"), stage.topic("kept"));
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&kept_topic, "kept").qos(2).retain())?;
    for qos in [1, 2] {
        let kept = stage.login(&format!("sub{qos}")).keep();
        let mut subscriber = kept.open()?;
        subscribe_as(&mut subscriber, &plain, options(qos), 1)?;
        subscribe_as(&mut subscriber, &shared, options(qos), 2)?;
        subscriber.subscribe_one(&kept_topic, options(qos), &[Property::SubscriptionIdentifier(3)])?;
        let mut first = vec![subscriber.message_of("kept")?];
        publisher.deliver(&Message::new(&plain, "plain").qos(qos))?;
        publisher.deliver(&Message::new(stage.topic("shared"), "shared").qos(qos))?;
        first.extend([subscriber.message_of("plain")?, subscriber.message_of("shared")?]);
        let identifiers: Vec<_> = first.iter().flat_map(Message::identifiers).collect();
        same("subscription identifiers", &identifiers, &vec![3, 1, 2])?;
        subscriber.cut();
        let mut subscriber = kept.open_with_session(true)?;
        for message in first {
            let again = subscriber.message()?;
            same("the same PUBLISH with DUP 1:", &again, &message.dup())?;
            subscriber.acknowledge(&again)?;
        }
        subscriber.quiet()?;
        subscriber.unsubscribe(&shared)?;
    }
    Ok(())
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

/// A shared and a plain subscription of one client: at most a copy for each, both identifiers in all.
fn shared_and_plain_subscription_of_one_client(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    subscribe_as(&mut subscriber, &stage.topic("a"), options(1), 1)?;
    subscribe_as(&mut subscriber, &stage.shared("g", "a"), options(1), 2)?;
    stage.connect("pub")?.deliver(&Message::new(stage.topic("a"), "x").qos(1))?;
    let came = subscriber.take_all(1)?;
    ensure(matches!(came.len(), 1 | 2), "one or two copies", came.len())?;
    let each = came.iter().all(|message| !stage.v5() || message.identifiers().len() * came.len() == 2);
    ensure(each, "both identifiers in one copy, or one in each of two", "copies that share them otherwise")?;
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
    let bytes = craft::publish(stage.version, 0, topic.as_bytes(), None, &[], [0, 7, 1, 2]);
    subscriber.expect_bytes(&bytes)
}

/// A clean session and a kept one, which get their messages on different ways, each with topics of its own.
fn clean_and_kept<'a>(stage: &'a Stage<'_>) -> [(Login<'a>, impl Fn(&str) -> String); 2] {
    [stage.login("clean"), stage.login("kept").keep()]
        .map(|login| (login.clone(), move |below: &str| stage.topic(&format!("{}/{below}", login.name()))))
}

/// Subscribes with an identifier, which falls away before 5.0; no replay.
pub(super) fn subscribe_as(
    peer: &mut Peer,
    filter: &str,
    options: SubscribeOptions,
    identifier: u32,
) -> Check {
    let retain_handling = if peer.v5() { RetainHandling::Never } else { RetainHandling::AtSubscribe };
    let options = SubscribeOptions { retain_handling, ..options };
    peer.subscribe_one(filter, options, &[Property::SubscriptionIdentifier(identifier)]).map(drop)
}
