//! `rumqttc` in its 5.0 form.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet, SubscribeReasonCode};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use rumqttc::{Outgoing, QoS};

use super::{ALL_QOS, Happening, Hello, Link, Message};
use crate::support::PATIENCE;

struct V5 {
    client: Client,
    connection: Connection,
}

pub(super) fn dial(hello: &Hello<'_>) -> Box<dyn Link> {
    let mut options = MqttOptions::new(hello.client_id, "127.0.0.1", hello.port);
    options.set_clean_start(hello.clean).set_max_packet_size(Some(2_000_000));
    options.set_session_expiry_interval(Some(if hello.clean { 0 } else { 300 }));
    options.set_keep_alive(Duration::from_mins(1));
    if let Some(will) = &hello.will {
        let (payload, qos) = (will.payload.as_bytes(), there(will.qos));
        options.set_last_will(LastWill::new(&will.topic, payload, qos, will.retain, None));
    }
    let (client, connection) = Client::new(options, 100);
    Box::new(V5 { client, connection })
}

impl Link for V5 {
    fn publish(&mut self, message: &Message) {
        let (qos, payload) = (there(message.qos), message.payload.clone());
        self.client.publish(&message.topic, qos, message.retain, payload).expect("room for one request");
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.client.subscribe(filter, there(qos)).expect("room for one request");
    }

    fn unsubscribe(&mut self, filter: &str) {
        self.client.unsubscribe(filter).expect("room for one request");
    }

    fn disconnect(&mut self) {
        self.client.disconnect().expect("room for one request");
    }

    fn next(&mut self) -> Happening {
        loop {
            let event = match self.connection.recv_timeout(PATIENCE).expect("something happens in time") {
                Ok(event) => event,
                Err(end) => return Happening::Ended(end.to_string()),
            };
            if let Some(happening) = happening(event) {
                return happening;
            }
        }
    }

    fn tells_takeover(&self, why: &str) -> bool {
        // Version 0.25 misses a DISCONNECT that ends with its reason code, which the standard allows.
        why.contains("SessionTakenOver") || why.contains("closed by peer")
    }
}

fn happening(event: Event) -> Option<Happening> {
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => {
            Some(Happening::Accepted { session_present: ack.session_present })
        }
        Event::Incoming(Packet::SubAck(ack)) => match ack.return_codes[0] {
            SubscribeReasonCode::Success(qos) => Some(Happening::Granted(back(qos))),
            refusal => panic!("the subscription was refused: {refusal:?}"),
        },
        Event::Incoming(Packet::UnsubAck(_)) => Some(Happening::Unsubscribed),
        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) | Event::Outgoing(Outgoing::Publish(0)) => {
            Some(Happening::Published)
        }
        Event::Incoming(Packet::Publish(publish)) => Some(Happening::Arrived(Message {
            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            qos: back(publish.qos),
            retain: publish.retain,
        })),
        _ => None,
    }
}

/// The library has one type of QoS for each version.
fn there(qos: QoS) -> QoS5 {
    match qos {
        QoS::AtMostOnce => QoS5::AtMostOnce,
        QoS::AtLeastOnce => QoS5::AtLeastOnce,
        QoS::ExactlyOnce => QoS5::ExactlyOnce,
    }
}

fn back(qos: QoS5) -> QoS {
    ALL_QOS[qos as usize]
}
