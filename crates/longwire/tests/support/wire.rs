//! A bare MQTT connection: bytes written by hand, whole packets read back.
//!
//! It shares no code with the packets of the program under test, so that both cannot misread the standard alike.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::PATIENCE;

/// Protocol level 4: MQTT 3.1.1.
pub(crate) const V311: u8 = 4;
/// Protocol level 5: MQTT 5.0.
pub(crate) const V5: u8 = 5;
/// PINGREQ.
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
/// PINGRESP.
pub(crate) const PINGRESP: [u8; 2] = [0xD0, 0];
/// A normal DISCONNECT, the same bytes in every version.
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// One connection; `level` decides whether properties are written.
pub(crate) struct Wire {
    stream: TcpStream,
    level: u8,
}

/// What a CONNECT says, beyond a clean start.
pub(crate) struct Hello<'a> {
    /// [`V311`] or [`V5`].
    pub(crate) level: u8,
    pub(crate) client_id: &'a str,
    pub(crate) keep_alive_secs: u16,
    /// Topic and payload of a will at QoS 0.
    pub(crate) will: Option<(&'a str, &'a str)>,
}

impl<'a> Hello<'a> {
    /// A CONNECT without keep-alive and will.
    pub(crate) fn new(level: u8, client_id: &'a str) -> Hello<'a> {
        Hello { level, client_id, keep_alive_secs: 0, will: None }
    }
}

impl Wire {
    /// Opens a connection to a port of 127.0.0.1 and says nothing yet.
    pub(crate) fn dial(port: u16) -> Wire {
        Wire::over(TcpStream::connect(("127.0.0.1", port)).expect("the broker listens"))
    }

    /// Speaks over an open stream, in 3.1.1 until a CONNECT says otherwise.
    pub(crate) fn over(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(PATIENCE)).expect("a read time-out above zero is accepted");
        stream.set_nodelay(true).expect("a connected socket takes options");
        Wire { stream, level: V311 }
    }

    /// Writes bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the other side reads");
    }

    /// Sends CONNECT and waits for a CONNACK that accepts it without a session.
    pub(crate) fn connect(&mut self, hello: &Hello<'_>) {
        self.level = hello.level;
        self.send(&connect(hello));
        let answer = self.packet();
        assert_eq!((answer[0], &answer[2..4]), (0x20, &[0, 0][..]), "CONNACK {answer:02x?}");
    }

    /// Subscribes to one filter and waits for the SUBACK that grants it.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut body = vec![0, 9];
        self.put_no_properties(&mut body);
        put_text(&mut body, filter);
        body.push(qos);
        self.send(&frame(0x82, &body));
        let answer = self.packet();
        assert_eq!((answer[0], answer.last()), (0x90, Some(&qos)), "SUBACK {answer:02x?}");
    }

    /// Publishes at QoS 1 and waits for the PUBACK.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        let id = self.publish_unanswered(topic, payload);
        let answer = self.packet();
        assert_eq!((answer[0], &answer[2..4]), (0x40, &id[..]), "PUBACK {answer:02x?}");
    }

    /// Sends a PUBLISH at QoS 1 and leaves the answer to be read; returns its packet id.
    pub(crate) fn publish_unanswered(&mut self, topic: &str, payload: &str) -> [u8; 2] {
        let id = [0, 7];
        let mut body = Vec::new();
        put_text(&mut body, topic);
        body.extend_from_slice(&id);
        self.put_no_properties(&mut body);
        body.extend_from_slice(payload.as_bytes());
        self.send(&frame(0x32, &body));
        id
    }

    /// The next packet, which must be a PUBLISH at QoS 0: topic and payload.
    pub(crate) fn message(&mut self) -> (String, String) {
        let packet = self.packet();
        assert_eq!(packet[0] & 0xFE, 0x30, "PUBLISH at QoS 0 {packet:02x?}");
        let body = &packet[packet.len() - remaining_len(&packet)..];
        let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let (topic, tail) = body[2..].split_at(topic_len);
        let payload = if self.level == V5 { &tail[1 + usize::from(tail[0])..] } else { tail };
        (String::from_utf8_lossy(topic).into_owned(), String::from_utf8_lossy(payload).into_owned())
    }

    /// The next whole packet; its end is known by its length bytes.
    pub(crate) fn packet(&mut self) -> Vec<u8> {
        self.packet_or_end().expect("a packet, not the end of the connection")
    }

    /// The next whole packet, or `None` when the other side closed instead.
    pub(crate) fn packet_or_end(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![self.byte()?];
        loop {
            packet.push(self.byte()?);
            if packet[packet.len() - 1] & 0x80 == 0 {
                break;
            }
        }
        let head_len = packet.len();
        packet.resize(head_len + remaining_len(&packet), 0);
        self.stream.read_exact(&mut packet[head_len..]).expect("the rest of the packet");
        Some(packet)
    }

    /// Proves by a PINGRESP as the next packet that nothing was sent before it.
    pub(crate) fn expect_silence(&mut self) {
        self.send(&PINGREQ);
        assert_eq!(self.packet(), PINGRESP);
    }

    /// Waits for the other side to close without another packet.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.packet_or_end(), None, "the connection is closed without another packet");
    }

    /// Cuts the connection as a crash would: without DISCONNECT.
    pub(crate) fn cut(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The next byte; `None` at the end of the stream, however abrupt.
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => None,
            Ok(_) => Some(byte[0]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("neither a packet nor an end: {error}"),
        }
    }

    fn put_no_properties(&self, body: &mut Vec<u8>) {
        if self.level == V5 {
            body.push(0);
        }
    }
}

/// CONNECT with a clean start.
pub(crate) fn connect(hello: &Hello<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.push(hello.level);
    body.push(if hello.will.is_some() { 0b110 } else { 0b010 });
    body.extend_from_slice(&hello.keep_alive_secs.to_be_bytes());
    let no_properties: &[u8] = if hello.level == V5 { &[0] } else { &[] };
    body.extend_from_slice(no_properties);
    put_text(&mut body, hello.client_id);
    if let Some((topic, payload)) = hello.will {
        body.extend_from_slice(no_properties);
        put_text(&mut body, topic);
        put_text(&mut body, payload);
    }
    frame(0x10, &body)
}

/// A packet of at most 127 bytes of body, which is all that these tests write.
pub(crate) fn frame(first_byte: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128, "a body whose length fits one byte");
    let mut packet = vec![first_byte, body.len() as u8];
    packet.extend_from_slice(body);
    packet
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&(text.len() as u16).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// The remaining length that the length bytes of `packet` tell.
fn remaining_len(packet: &[u8]) -> usize {
    let bytes = packet[1..].iter().scan(true, |more, &byte| {
        let taken = more.then_some(byte);
        *more = byte & 0x80 != 0;
        taken
    });
    bytes.enumerate().map(|(place, byte)| usize::from(byte & 0x7F) << (7 * place)).sum()
}
