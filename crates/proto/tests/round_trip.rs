//! Every packet that can be made comes back as it was, in every version; and no bytes whatever make the decoder
//! panic, or accept what it would not write itself.

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::encode;
use longwire_proto::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, PacketType, Publish, RetainHandling, SubAck, Subscribe,
    SubscribeFiltersBuf, SubscribeOptions, Unsubscribe, UnsubscribeFiltersBuf, Will,
};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::reason::Sender;
use longwire_proto::{Packet, PacketId, QoS, ReasonCode, Version, topic};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Encodes and decodes, and checks that the same packet comes out and the same bytes again.
fn check_round_trip(packet: &Packet<'_>, version: Version, receiver: Receiver) {
    let mut bytes = vec![0xAA];
    encode::packet(packet, version, &mut bytes).expect("the packet is encodable");
    let rules = Rules { version, receiver, packet_size_max: u32::MAX, strict_text: true };
    let decoded = decode::packet(&bytes[1..], &rules);
    assert_eq!(decoded, Ok(Decoded::Packet(*packet, bytes.len() - 1)));
}

fn versions() -> impl Strategy<Value = Version> {
    select(vec![Version::V31, Version::V311, Version::V5])
}

fn receivers() -> impl Strategy<Value = Receiver> {
    select(vec![Receiver::Server, Receiver::Client])
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_ids() -> impl Strategy<Value = PacketId> {
    any::<PacketId>()
}

fn texts() -> impl Strategy<Value = String> {
    "[a-z0-9 /+#äß€𝄞]{0,12}"
}

fn binaries() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn topic_names() -> impl Strategy<Value = String> {
    "[a-z0-9 $/ä€]{1,20}"
}

fn topic_filters() -> impl Strategy<Value = String> {
    let levels = vec(prop_oneof!["[a-z$€]{0,4}", Just("+".to_owned())], 1..5);
    let filter =
        (levels, any::<bool>()).prop_map(|(levels, all)| levels.join("/") + if all { "/#" } else { "" });
    let filter = filter.prop_filter("a filter is not empty", |filter| !filter.is_empty());
    (filter, any::<bool>())
        .prop_map(|(filter, shared)| if shared { format!("$share/g/{filter}") } else { filter })
}

/// Codes that `sender` may put into this packet.
fn codes(packet_type: PacketType, sender: Sender) -> impl Strategy<Value = ReasonCode> {
    let allowed =
        (0..=255).filter_map(ReasonCode::from_u8).filter(|code| code.allowed_in(packet_type, sender));
    select(allowed.collect::<Vec<_>>())
}

fn user_properties(buffer: &mut PropertiesBuf, pairs: &[(String, String)]) {
    buffer.extend(pairs.iter().map(|(name, value)| Property::UserProperty(name, value)));
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((texts(), texts()), 0..3)
}

/// A reason string and user properties, as most answers take them.
fn answer_properties() -> impl Strategy<Value = PropertiesBuf> {
    (option::of(texts()), pairs()).prop_map(|(reason, pairs)| {
        let mut buffer = PropertiesBuf::new();
        buffer.extend(reason.as_deref().map(Property::ReasonString));
        user_properties(&mut buffer, &pairs);
        buffer
    })
}

/// What PUBLISH and wills have in common.
fn message_properties() -> impl Strategy<Value = PropertiesBuf> {
    let singles = (
        option::of(any::<bool>()),
        option::of(any::<u32>()),
        option::of(texts()),
        option::of(topic_names()),
        option::of(binaries()),
    );
    (singles, pairs()).prop_map(|((format, expiry, content_type, response, correlation), pairs)| {
        let mut buffer = PropertiesBuf::new();
        buffer.extend(format.map(Property::PayloadFormatIndicator));
        buffer.extend(expiry.map(Property::MessageExpiryInterval));
        user_properties(&mut buffer, &pairs);
        buffer.extend(content_type.as_deref().map(Property::ContentType));
        buffer.extend(response.as_deref().map(Property::ResponseTopic));
        buffer.extend(correlation.as_deref().map(Property::CorrelationData));
        buffer
    })
}

fn connect_properties() -> impl Strategy<Value = PropertiesBuf> {
    let numbers = (option::of(any::<u32>()), option::of(1..=u16::MAX), option::of(1..=u32::MAX));
    let flags = (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any::<u16>()));
    let method = option::of((texts(), option::of(binaries())));
    (numbers, flags, method, pairs()).prop_map(|(numbers, flags, method, pairs)| {
        let mut buffer = PropertiesBuf::new();
        buffer.extend(numbers.0.map(Property::SessionExpiryInterval));
        buffer.extend(numbers.1.map(Property::ReceiveMaximum));
        buffer.extend(numbers.2.map(Property::MaximumPacketSize));
        buffer.extend(flags.0.map(Property::RequestProblemInformation));
        buffer.extend(flags.1.map(Property::RequestResponseInformation));
        buffer.extend(flags.2.map(Property::TopicAliasMaximum));
        if let Some((method, data)) = &method {
            buffer.push(Property::AuthenticationMethod(method));
            buffer.extend(data.as_deref().map(Property::AuthenticationData));
        }
        user_properties(&mut buffer, &pairs);
        buffer
    })
}

fn connack_properties() -> impl Strategy<Value = PropertiesBuf> {
    let texts = (option::of(texts()), option::of(texts()), option::of(texts()));
    let numbers = (option::of(any::<u16>()), option::of(0..=1_u8), option::of(any::<u32>()));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (texts, numbers, option::of(flags), answer_properties()).prop_map(|(texts, numbers, flags, rest)| {
        let mut buffer = PropertiesBuf::new();
        buffer.extend(texts.0.as_deref().map(Property::AssignedClientIdentifier));
        buffer.extend(texts.1.as_deref().map(Property::ResponseInformation));
        buffer.extend(texts.2.as_deref().map(Property::ServerReference));
        buffer.extend(numbers.0.map(Property::ServerKeepAlive));
        buffer.extend(numbers.1.map(Property::MaximumQoS));
        buffer.extend(numbers.2.map(Property::SessionExpiryInterval));
        if let Some((retain, wildcard, identifier, shared)) = flags {
            buffer.push(Property::RetainAvailable(retain));
            buffer.push(Property::WildcardSubscriptionAvailable(wildcard));
            buffer.push(Property::SubscriptionIdentifierAvailable(identifier));
            buffer.push(Property::SharedSubscriptionAvailable(shared));
        }
        buffer.extend_raw(rest.as_properties());
        buffer
    })
}

/// The properties, where the version has any.
fn in_version(version: Version, buffer: &PropertiesBuf) -> Properties<'_> {
    if version == Version::V5 { buffer.as_properties() } else { Properties::EMPTY }
}

proptest! {
    #[test]
    fn connect_comes_back(
        version in versions(),
        (bridge, clean_start, keep_alive_secs) in any::<(bool, bool, u16)>(),
        client_id in texts(),
        will in option::of((qos(), any::<bool>(), topic_names(), binaries(), message_properties(), any::<u32>())),
        user_name in option::of(texts()),
        password in option::of(binaries()),
        properties in connect_properties(),
    ) {
        let mut will_properties = PropertiesBuf::new();
        if let Some((.., properties, delay)) = &will {
            will_properties.extend_raw(properties.as_properties());
            will_properties.push(Property::WillDelayInterval(*delay));
        }
        let will = will.as_ref().map(|(qos, retain, topic, payload, ..)| Will {
            qos: *qos,
            retain: *retain,
            topic,
            payload,
            properties: in_version(version, &will_properties),
        });
        let connect = Connect {
            version,
            bridge: bridge && version < Version::V5,
            clean_start,
            keep_alive_secs,
            client_id: &client_id,
            will,
            password: password.as_deref().filter(|_| version == Version::V5 || user_name.is_some()),
            user_name: user_name.as_deref(),
            properties: in_version(version, &properties),
        };
        check_round_trip(&Packet::Connect(connect), version, Receiver::Server);
    }

    #[test]
    fn connack_comes_back(
        version in versions(),
        session_present in any::<bool>(),
        reason in codes(PacketType::ConnAck, Sender::Server),
        properties in connack_properties(),
    ) {
        let through_v3 = ReasonCode::from_v3_connack(reason.to_v3_connack()).unwrap_or(reason);
        let reason = if version == Version::V5 { reason } else { through_v3 };
        let connack = ConnAck {
            session_present: session_present && !reason.is_error() && version > Version::V31,
            reason,
            properties: in_version(version, &properties),
        };
        check_round_trip(&Packet::ConnAck(connack), version, Receiver::Client);
    }

    #[test]
    fn publish_comes_back(
        version in versions(),
        receiver in receivers(),
        (dup, qos, retain) in (any::<bool>(), qos(), any::<bool>()),
        topic in topic_names(),
        packet_id in packet_ids(),
        properties in message_properties(),
        (alias, alias_only, identifiers) in (option::of(1..=u16::MAX), any::<bool>(), vec(1..=268_435_455_u32, 0..3)),
        payload in vec(any::<u8>(), 0..300),
    ) {
        let mut all = properties.clone();
        all.extend(alias.map(Property::TopicAlias));
        if receiver == Receiver::Client {
            all.extend(identifiers.into_iter().map(Property::SubscriptionIdentifier));
        }
        let without_topic = version == Version::V5 && alias.is_some() && alias_only;
        let publish = Publish {
            dup: dup && qos != QoS::AtMostOnce,
            qos,
            retain,
            topic: if without_topic { "" } else { &topic },
            packet_id: (qos != QoS::AtMostOnce).then_some(packet_id),
            properties: in_version(version, &all),
            payload: &payload,
        };
        check_round_trip(&Packet::Publish(publish), version, receiver);
    }

    #[test]
    fn a_publish_can_be_given_another_packet_id(
        version in versions(),
        topic in topic_names(),
        ids in (packet_ids(), packet_ids()),
        properties in message_properties(),
        payload in vec(any::<u8>(), 0..300),
    ) {
        let publish = |packet_id| Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: &topic,
            packet_id: Some(packet_id),
            properties: in_version(version, &properties),
            payload: &payload,
        };
        let (mut patched, mut wanted) = (vec![1, 2, 3], vec![1, 2, 3]);
        let at = encode::publish(&publish(ids.0), version, &mut patched).unwrap().unwrap();
        patched[at..at + 2].copy_from_slice(&ids.1.get().to_be_bytes());
        encode::publish(&publish(ids.1), version, &mut wanted).unwrap();
        prop_assert_eq!(patched, wanted);
    }

    #[test]
    fn acknowledgements_come_back(
        version in versions(),
        receiver in receivers(),
        packet_id in packet_ids(),
        reason in codes(PacketType::PubAck, Sender::Client),
        release_reason in codes(PacketType::PubRel, Sender::Client),
        properties in answer_properties(),
    ) {
        let ack = |reason| Ack {
            packet_id,
            reason: if version == Version::V5 { reason } else { ReasonCode::Success },
            properties: in_version(version, &properties),
        };
        check_round_trip(&Packet::PubAck(ack(reason)), version, receiver);
        check_round_trip(&Packet::PubRec(ack(reason)), version, receiver);
        check_round_trip(&Packet::PubRel(ack(release_reason)), version, receiver);
        check_round_trip(&Packet::PubComp(ack(release_reason)), version, receiver);
    }

    #[test]
    fn subscribe_comes_back(
        version in versions(),
        packet_id in packet_ids(),
        filters in vec((topic_filters(), qos(), any::<(bool, bool)>(), 0..3_u8), 1..5),
        identifier in option::of(1..=268_435_455_u32),
        pairs in pairs(),
    ) {
        let mut properties = PropertiesBuf::new();
        properties.extend(identifier.map(Property::SubscriptionIdentifier));
        user_properties(&mut properties, &pairs);
        let mut buffer = SubscribeFiltersBuf::default();
        for (filter, qos, (no_local, retain_as_published), handling) in &filters {
            let options = SubscribeOptions {
                qos: *qos,
                no_local: *no_local && topic::shared(filter).is_none(),
                retain_as_published: *retain_as_published,
                retain_handling: match handling {
                    0 => RetainHandling::AtSubscribe,
                    1 => RetainHandling::IfNew,
                    _ => RetainHandling::Never,
                },
            };
            let plain = SubscribeOptions::with_qos(*qos);
            buffer.push(filter, if version == Version::V5 { options } else { plain });
        }
        let subscribe = Subscribe {
            packet_id,
            properties: in_version(version, &properties),
            filters: buffer.as_filters(),
        };
        prop_assert_eq!(subscribe.filters.iter().count(), filters.len());
        check_round_trip(&Packet::Subscribe(subscribe), version, Receiver::Server);
    }

    #[test]
    fn unsubscribe_comes_back(
        version in versions(),
        packet_id in packet_ids(),
        filters in vec(topic_filters(), 1..5),
        pairs in pairs(),
    ) {
        let mut properties = PropertiesBuf::new();
        user_properties(&mut properties, &pairs);
        let mut buffer = UnsubscribeFiltersBuf::default();
        for filter in &filters {
            buffer.push(filter);
        }
        let unsubscribe = Unsubscribe {
            packet_id,
            properties: in_version(version, &properties),
            filters: buffer.as_filters(),
        };
        prop_assert!(unsubscribe.filters.iter().eq(filters.iter().map(String::as_str)));
        check_round_trip(&Packet::Unsubscribe(unsubscribe), version, Receiver::Server);
    }

    #[test]
    fn suback_comes_back(
        version in versions(),
        packet_id in packet_ids(),
        codes in vec(codes(PacketType::SubAck, Sender::Server), 1..5),
        properties in answer_properties(),
    ) {
        let codes: Vec<u8> = codes.iter().map(|&code| code as u8).collect();
        let v3_codes: Vec<u8> = codes.iter().map(|&code| code.min(0x80)).collect();
        let suback = SubAck {
            packet_id,
            properties: in_version(version, &properties),
            raw_codes: if version == Version::V5 { &codes } else { &v3_codes },
        };
        prop_assert_eq!(suback.codes().count(), codes.len());
        check_round_trip(&Packet::SubAck(suback), version, Receiver::Client);
    }

    #[test]
    fn unsuback_comes_back(
        version in versions(),
        packet_id in packet_ids(),
        codes in vec(codes(PacketType::UnsubAck, Sender::Server), 1..5),
        properties in answer_properties(),
    ) {
        let codes: Vec<u8> = codes.iter().map(|&code| code as u8).collect();
        let unsuback = SubAck {
            packet_id,
            properties: in_version(version, &properties),
            raw_codes: if version == Version::V5 { &codes } else { &[] },
        };
        check_round_trip(&Packet::UnsubAck(unsuback), version, Receiver::Client);
    }

    #[test]
    fn disconnect_comes_back(
        from_client in codes(PacketType::Disconnect, Sender::Client),
        from_server in codes(PacketType::Disconnect, Sender::Server),
        expiry in option::of(any::<u32>()),
        reference in option::of(texts()),
        properties in answer_properties(),
    ) {
        let mut client_properties = properties.clone();
        client_properties.extend(expiry.map(Property::SessionExpiryInterval));
        let disconnect = Disconnect { reason: from_client, properties: client_properties.as_properties() };
        check_round_trip(&Packet::Disconnect(disconnect), Version::V5, Receiver::Server);

        let mut server_properties = properties.clone();
        server_properties.extend(reference.as_deref().map(Property::ServerReference));
        let disconnect = Disconnect { reason: from_server, properties: server_properties.as_properties() };
        check_round_trip(&Packet::Disconnect(disconnect), Version::V5, Receiver::Client);
    }

    #[test]
    fn auth_comes_back(
        receiver in receivers(),
        (from_client, from_server) in
            (codes(PacketType::Auth, Sender::Client), codes(PacketType::Auth, Sender::Server)),
        method in texts(),
        data in option::of(binaries()),
        rest in answer_properties(),
    ) {
        let mut properties = PropertiesBuf::from_iter([Property::AuthenticationMethod(&method)]);
        properties.extend(data.as_deref().map(Property::AuthenticationData));
        properties.extend_raw(rest.as_properties());
        let reason = if receiver == Receiver::Server { from_client } else { from_server };
        let auth = Auth { reason, properties: properties.as_properties() };
        check_round_trip(&Packet::Auth(auth), Version::V5, receiver);
    }

    /// Whatever is accepted has been understood: written again, it is the same packet.
    #[test]
    fn any_bytes_are_refused_or_understood(
        version in versions(),
        receiver in receivers(),
        strict_text in any::<bool>(),
        first_byte in any::<u8>(),
        body in vec(prop_oneof![any::<u8>(), 0..8_u8, Just(b'a'), Just(0x1F), Just(38)], 0..60),
    ) {
        let rules = Rules { version, receiver, packet_size_max: 1_000, strict_text };
        let bytes = [&[first_byte, body.len() as u8], body.as_slice()].concat();
        if let Ok(Decoded::Packet(packet, consumed)) = decode::packet(&bytes, &rules) {
            prop_assert_eq!(consumed, bytes.len());
            let mut written = Vec::new();
            encode::packet(&packet, version, &mut written).expect("what was decoded can be encoded");
            let again = decode::packet(&written, &rules);
            prop_assert_eq!(again, Ok(Decoded::Packet(packet, written.len())));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        version in versions(),
        receiver in receivers(),
        bytes in vec(any::<u8>(), 0..80),
    ) {
        let rules = Rules { version, receiver, packet_size_max: u32::MAX, strict_text: true };
        let decoded = decode::packet(&bytes, &rules);
        decode::connect_level(&bytes);
        if let Ok(Decoded::Incomplete { needed }) = decoded {
            prop_assert!(needed > bytes.len());
        }
    }
}

#[test]
fn packets_without_a_body_come_back() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
        check_round_trip(&Packet::PingReq, version, Receiver::Server);
        check_round_trip(&Packet::PingResp, version, Receiver::Client);
        check_round_trip(&Packet::Disconnect(disconnect), version, Receiver::Server);
    }
}
