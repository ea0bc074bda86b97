//! CONNECT: what is accepted and what it brings about. Hard cases I06, I08, I16 and I20; what is wrong in one packet
//! alone is in [`super::malformed`].

use std::time::Duration;

use longwire_proto::property::Property;

use super::scenes;
use crate::craft::{self, field, join};
use crate::failure::{Check, ensure, same};
use crate::message::Arrival;
use crate::stage::Stage;

scenes! {
    both connect_in_single_bytes_is_accepted "I06" "3.1.4-4" "3.1.4-5";
    both connect_with_packets_behind_it "I08 U5-61" "3.1.4-4 3.2.0-1" "3.1.4-5 3.2.0-1";
    both second_connect_in_the_same_segment "C15" "3.1.0-2" "3.1.0-2 3.2.0-2";
    both accepted_connect_is_answered "" "3.1.4-4 3.1.3-5 7.1.1-1" "3.1.4-5 3.1.3-5 4.2.0-1";
    both every_field_of_connect_is_read "" "3.1.3-1 3.1.2-9 3.1.2-19 3.1.2-21" "3.1.3-1 3.1.2-9 3.1.2-17 3.1.2-19";
    v5 unsupported_authentication_method "I16 U5-17" "4.12.0-1 3.2.2-6 3.2.2-7";
    both client_ids_of_every_kind "I20 U5-62" "3.1.3-2 3.1.3-5" "3.1.3-2 3.1.3-5";
    v5 announced_capabilities_are_kept "" "3.2.2-1 3.2.2-8 3.2.2-9";
}

/// A CONNECT that comes byte by byte is as good as any.
fn connect_in_single_bytes_is_accepted(stage: &Stage<'_>) -> Check {
    let mut client = stage.dial("client")?;
    for byte in stage.login("client").bytes() {
        client.raw("one byte", &[byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    client.expect_connack()?;
    client.ping()
}

/// CONNECT, SUBSCRIBE and PUBLISH in one segment: CONNACK first, then everything works.
fn connect_with_packets_behind_it(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut client = stage.dial("client")?;
    let bytes = join(&[
        &stage.login("client").bytes(),
        &craft::subscribe(stage.version, &[], topic.as_bytes(), 1),
        &craft::publish(stage.version, 2, topic.as_bytes(), Some(5), &[], b"x"),
    ]);
    client.raw("CONNECT, SUBSCRIBE and PUBLISH at once", &bytes);
    client.expect_connack()?;
    client.wait("SUBACK id 1 code 01", |arrival| match arrival {
        Arrival::SubAck(grants) if grants.id == 1 && grants.codes == [1] => Some(()),
        _ => None,
    })?;
    client.expect_puback(5)?;
    client.take_of("x")?;
    client.quiet()
}

/// Two CONNECTs at once, of a clean session and of a kept one, whose CONNACK may still be pending: closed, in 5.0 with
/// 0x82 if CONNACK went before, and at most one CONNACK.
fn second_connect_in_the_same_segment(stage: &Stage<'_>) -> Check {
    for login in [stage.login("client"), stage.login("client").keep()] {
        let mut client = stage.dial("client")?;
        client.raw("two CONNECTs at once", &login.bytes().repeat(2));
        match client.next()? {
            Arrival::ConnAck(connack) if connack.code == 0 => client.expect_close(0x82, &[])?,
            Arrival::Closed => {}
            other => return Err(client.differs("one CONNACK at most, and a close", other)),
        }
        stage.login("client").open()?.disconnect();
    }
    Ok(())
}

/// Ids of 1 to 23 letters and digits are accepted, all 62 of them.
fn accepted_connect_is_answered(stage: &Stage<'_>) -> Check {
    let first = if stage.v5() { "Z" } else { "z" };
    for rest in ["", "0123456789abcdefghijkl", "mnopqrstuvwxyABCDEFGHI", "JKLMNOPQRSTUVWXYZz"] {
        let mut client = stage.login("client").id(&format!("{first}{rest}")).open_with_session(false)?;
        client.ping()?;
        client.disconnect();
    }
    Ok(())
}

/// Will, user name and password all in their places: accepted, and the will is what was sent.
fn every_field_of_connect_is_read(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("will");
    let mut watcher = stage.subscriber("watcher", &topic, 1)?;
    let will_properties = craft::properties(stage.version, &[]);
    let payload = join(&[
        &field(stage.client_id("full")),
        &will_properties,
        &field(&topic),
        &field("gone"),
        &field("user"),
        &field("secret"),
    ]);
    let mut client = stage.dial("full")?;
    client.raw("CONNECT with every field", &craft::connect(stage.version, 0xCE, &[], &payload));
    client.expect_connack()?;
    client.cut();
    same("QoS", &watcher.take_of("gone")?.qos, &1)
}

/// A method that nobody knows: 0x8C, session present 0, close.
fn unsupported_authentication_method(stage: &Stage<'_>) -> Check {
    let kept = stage.login("client").keep();
    kept.open()?.disconnect();
    let mut client = kept.clone().with(Property::AuthenticationMethod("NO-SUCH-METHOD")).knock()?;
    client.expect_refusal(0x8C, &[0x87], None)?;
    kept.open_with_session(true).map(drop)
}

/// Long ids, other alphabets, wildcards and slashes: used as they are, or refused by code.
fn client_ids_of_every_kind(stage: &Stage<'_>) -> Check {
    let tag = stage.tag();
    let long = format!("{tag}{}", "x".repeat(65_535 - tag.len()));
    for id in [
        format!("{tag}-caf\u{e9} \u{1f980}"),
        format!("{tag}/+/#"),
        format!("{tag}{}", "y".repeat(200)),
        long,
    ] {
        let login = stage.login("client").id(&id).keep();
        let mut client = login.knock()?;
        match client.next()? {
            Arrival::ConnAck(connack) if connack.code == 0 => {
                client.cut();
                login.open_with_session(true)?.disconnect();
            }
            Arrival::ConnAck(connack) if matches!(connack.code, 0x85 | 0x02) => client.expect_end()?,
            other => return Err(client.differs("CONNACK code 0x00 or a refusal of the id", other)),
        }
    }
    Ok(())
}

/// CONNACK says nothing that it may not say, and what it announces as missing is refused.
fn announced_capabilities_are_kept(stage: &Stage<'_>) -> Check {
    let client = stage.connect("client")?;
    let props = client.connack.properties.as_properties();
    ensure(props.maximum_qos().is_none_or(|qos| qos < 2), "Maximum QoS 0 or 1, or absent", "2")?;
    ensure(props.receive_maximum() != Some(0), "Receive Maximum above 0", "0")?;
    ensure(props.maximum_packet_size() != Some(0), "Maximum Packet Size above 0", "0")?;
    ensure(props.assigned_client_identifier().is_none(), "no assigned id for a client that has one", "one")
}
