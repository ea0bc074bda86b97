//! A server made of a script: it accepts on loopback, reads the client's packets and answers only what the test says.

use std::time::Duration;

use longwire_client::{Options, Properties, PropertiesBuf, Property, QoS, ReasonCode, Reconnect, Version};
use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::encode;
use longwire_proto::packet::{Ack, ConnAck, Packet, PacketId, Publish, SubAck};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Nothing on loopback takes this long; a test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    listener: TcpListener,
}

/// Any transport.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One accepted connection.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    version: Version,
    bytes: Vec<u8>,
}

/// A packet of the client, for tests that ask about its parts.
pub(crate) struct Whole {
    bytes: Vec<u8>,
    version: Version,
}

impl Whole {
    pub(crate) fn read(&self, look: impl FnOnce(&Packet<'_>)) {
        match decode::packet(&self.bytes, &rules(self.version)).expect("it was decoded before") {
            Decoded::Packet(packet, _) => look(&packet),
            Decoded::Incomplete { .. } => panic!("it was whole before"),
        }
    }
}

/// A packet of the client, reduced to what tests ask about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Connect { clean_start: bool, client_id: String, session_expiry: Option<u32> },
    Publish { topic: String, payload: String, qos: QoS, id: u16, dup: bool },
    Ack(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe(u16, Vec<String>),
    Unsubscribe(u16),
    Ping,
    Disconnect(ReasonCode, Option<u32>),
    Auth(Vec<u8>),
}

impl Server {
    pub(crate) async fn new() -> Self {
        Server { listener: TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port") }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("it is bound").port()
    }

    /// Options for a client of this server that does not dawdle.
    pub(crate) fn options(&self) -> Options {
        let soon = Duration::from_millis(10);
        Options::new("127.0.0.1").port(self.port()).reconnect(Reconnect::forever().delays(soon, soon))
    }

    /// The next connection, before anything was read from it.
    pub(crate) async fn accept(&self) -> Link {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("the client dials in time");
        let (stream, _) = accepted.expect("accepted");
        Link::over(stream)
    }

    /// The next connection after CONNECT and an accepting CONNACK.
    pub(crate) async fn welcome(&self) -> Link {
        self.welcome_with(false, &[]).await.0
    }

    pub(crate) async fn welcome_with(
        &self,
        session_present: bool,
        properties: &[Property<'_>],
    ) -> (Link, Seen) {
        let mut link = self.accept().await;
        let connect = link.expect().await;
        let properties: PropertiesBuf = properties.iter().copied().collect();
        link.connack(session_present, ReasonCode::Success, properties.as_properties()).await;
        (link, connect)
    }
}

impl Link {
    /// A connection by some transport, before anything was read from it.
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Link { stream: Box::new(stream), version: Version::V5, bytes: Vec::new() }
    }

    /// The next packet of the client, which must come.
    pub(crate) async fn expect(&mut self) -> Seen {
        self.next().await.expect("the client is still connected")
    }

    /// The next packet of the client; `None` when it closed.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        let whole = self.next_whole().await?;
        let mut seen = None;
        whole.read(|packet| seen = Some(Seen::from(packet)));
        seen
    }

    /// The next packet of the client, which must come.
    pub(crate) async fn packet(&mut self) -> Whole {
        self.next_whole().await.expect("the client is still connected")
    }

    async fn next_whole(&mut self) -> Option<Whole> {
        loop {
            match decode::packet(&self.bytes, &rules(self.version)).expect("the client writes valid packets")
            {
                Decoded::Packet(packet, consumed) => {
                    if let Packet::Connect(connect) = &packet {
                        self.version = connect.version;
                    }
                    let bytes = self.bytes.drain(..consumed).collect();
                    return Some(Whole { bytes, version: self.version });
                }
                Decoded::Incomplete { .. } => {
                    let read = timeout(PATIENCE, self.stream.read_buf(&mut self.bytes));
                    // A reset is an end too.
                    if read.await.expect("the client writes or closes in time").unwrap_or(0) == 0 {
                        return None;
                    }
                }
            }
        }
    }

    /// Sends a packet; a client that is gone already is no fault.
    pub(crate) async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        encode::packet(packet, self.version, &mut bytes).expect("tests send valid packets");
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn connack(
        &mut self,
        session_present: bool,
        reason: ReasonCode,
        properties: Properties<'_>,
    ) {
        self.send(&Packet::ConnAck(ConnAck { session_present, reason, properties })).await;
    }

    pub(crate) async fn message(&mut self, topic: &str, payload: &str, qos: QoS, id: u16) {
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id: PacketId::new(id),
            properties: Properties::EMPTY,
            payload: payload.as_bytes(),
        };
        self.send(&Packet::Publish(publish)).await;
    }

    pub(crate) async fn puback(&mut self, id: u16) {
        self.send(&Packet::PubAck(ack(id))).await;
    }

    pub(crate) async fn pubrec(&mut self, id: u16) {
        self.send(&Packet::PubRec(ack(id))).await;
    }

    pub(crate) async fn pubcomp(&mut self, id: u16) {
        self.send(&Packet::PubComp(ack(id))).await;
    }

    pub(crate) async fn suback(&mut self, id: u16, raw_codes: &[u8]) {
        let packet_id = PacketId::new(id).expect("tests use valid ids");
        self.send(&Packet::SubAck(SubAck { packet_id, properties: Properties::EMPTY, raw_codes })).await;
    }

    /// Answers all that a well-behaved client may send, until it closes; tells what it saw.
    pub(crate) async fn serve(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Some(seen) = self.next().await {
            match &seen {
                Seen::Publish { qos: QoS::AtLeastOnce, id, .. } => self.puback(*id).await,
                Seen::Publish { qos: QoS::ExactlyOnce, id, .. } => self.pubrec(*id).await,
                Seen::PubRel(id) => self.pubcomp(*id).await,
                Seen::Subscribe(id, filters) => self.suback(*id, &vec![1; filters.len()]).await,
                Seen::Ping => self.send(&Packet::PingResp).await,
                _ => {}
            }
            all.push(seen);
        }
        all
    }
}

fn rules(version: Version) -> Rules {
    Rules { version, receiver: Receiver::Server, packet_size_max: u32::MAX, strict_text: true }
}

fn ack(id: u16) -> Ack<'static> {
    Ack::new(PacketId::new(id).expect("tests use valid ids"), ReasonCode::Success)
}

impl From<&Packet<'_>> for Seen {
    fn from(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::Connect(connect) => Seen::Connect {
                clean_start: connect.clean_start,
                client_id: connect.client_id.to_owned(),
                session_expiry: connect.properties.session_expiry_interval(),
            },
            Packet::Publish(publish) => Seen::Publish {
                topic: publish.topic.to_owned(),
                payload: String::from_utf8_lossy(publish.payload).into_owned(),
                qos: publish.qos,
                id: publish.packet_id.map_or(0, PacketId::get),
                dup: publish.dup,
            },
            Packet::PubAck(ack) => Seen::Ack(ack.packet_id.get()),
            Packet::PubRec(ack) => Seen::PubRec(ack.packet_id.get()),
            Packet::PubRel(ack) => Seen::PubRel(ack.packet_id.get()),
            Packet::PubComp(ack) => Seen::PubComp(ack.packet_id.get()),
            Packet::Subscribe(subscribe) => Seen::Subscribe(
                subscribe.packet_id.get(),
                subscribe.filters.iter().map(|(filter, _)| filter.to_owned()).collect(),
            ),
            Packet::Unsubscribe(unsubscribe) => Seen::Unsubscribe(unsubscribe.packet_id.get()),
            Packet::PingReq => Seen::Ping,
            Packet::Disconnect(disconnect) => {
                Seen::Disconnect(disconnect.reason, disconnect.properties.session_expiry_interval())
            }
            Packet::Auth(auth) => Seen::Auth(auth.properties.authentication_data().unwrap_or(&[]).to_vec()),
            other => panic!("a client does not send {other:?}"),
        }
    }
}
