//! Wills: what a client wants published when it goes without a proper DISCONNECT, and when.

use longwire_proto::QoS;
use longwire_proto::packet;
use longwire_proto::property::PropertiesBuf;

use crate::address::SessionRef;
use crate::link::forwarded;
use crate::message::{MessageView, Millis, NEVER};

/// The will of one session.
#[derive(Clone, Debug)]
pub struct Will {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Seconds between the end of the connection and publication; a session's end comes first if it is sooner.
    pub(crate) delay_secs: u32,
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) topic: Box<str>,
    pub(crate) properties: PropertiesBuf,
    pub(crate) payload: Box<[u8]>,
}

impl Will {
    pub(crate) fn new(will: &packet::Will<'_>) -> Self {
        let mut scratch = PropertiesBuf::new();
        let mut properties = PropertiesBuf::new();
        properties.extend_raw(forwarded(will.properties, &mut scratch));
        Will {
            qos: will.qos,
            retain: will.retain,
            delay_secs: will.properties.will_delay_interval().unwrap_or(0),
            expiry_secs: will.properties.message_expiry_interval(),
            topic: will.topic.into(),
            properties,
            payload: will.payload.into(),
        }
    }

    /// Bytes of content.
    pub(crate) fn len(&self) -> usize {
        self.topic.len() + self.properties.as_properties().as_bytes().len() + self.payload.len()
    }

    /// The will as a publication made now: its expiry counts from here (D13). RETAIN is as CONNECT had it
    /// `[MQTT-3.1.2-14]` `[MQTT-3.1.2-15]` `[MQTT-3.1.2-16 of 3.1.1]` `[MQTT-3.1.2-17 of 3.1.1]`, and User Properties
    /// are in their order `[MQTT-3.1.3-10]`.
    pub(crate) fn view<'a>(
        &'a self,
        publisher: SessionRef,
        publisher_id: &'a str,
        now: Millis,
    ) -> MessageView<'a> {
        MessageView {
            publisher,
            publisher_id,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expiry_secs.map_or(NEVER, |secs| now + u64::from(secs) * 1_000),
            topic: &self.topic,
            properties: self.properties.as_properties(),
            payload: &self.payload,
        }
    }
}
