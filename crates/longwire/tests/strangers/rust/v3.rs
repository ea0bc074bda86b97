//! `rumqttc` in its 3.1.1 form.

use std::time::Duration;

use rumqttc::{Client, Connection, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode};

use super::{Happening, Hello, Link, Message};
use crate::support::PATIENCE;

struct V3 {
    client: Client,
    connection: Connection,
}

pub(super) fn dial(hello: &Hello<'_>) -> Box<dyn Link> {
    let mut options = MqttOptions::new(hello.client_id, "127.0.0.1", hello.port);
    options.set_clean_session(hello.clean).set_max_packet_size(2_000_000, 2_000_000);
    options.set_keep_alive(Duration::from_mins(1));
    if let Some(will) = &hello.will {
        options.set_last_will(LastWill::new(&will.topic, will.payload.as_bytes(), will.qos, will.retain));
    }
    let (client, connection) = Client::new(options, 100);
    Box::new(V3 { client, connection })
}

impl Link for V3 {
    fn publish(&mut self, message: &Message) {
        let payload = message.payload.as_bytes();
        self.client
            .publish(&message.topic, message.qos, message.retain, payload)
            .expect("room for one request");
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.client.subscribe(filter, qos).expect("room for one request");
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
        // 3.1.1 has no packet to say more with.
        why.contains("closed by peer")
    }
}

fn happening(event: Event) -> Option<Happening> {
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => {
            Some(Happening::Accepted { session_present: ack.session_present })
        }
        Event::Incoming(Packet::SubAck(ack)) => match ack.return_codes[0] {
            SubscribeReasonCode::Success(qos) => Some(Happening::Granted(qos)),
            SubscribeReasonCode::Failure => panic!("the subscription was refused"),
        },
        Event::Incoming(Packet::UnsubAck(_)) => Some(Happening::Unsubscribed),
        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) | Event::Outgoing(Outgoing::Publish(0)) => {
            Some(Happening::Published)
        }
        Event::Incoming(Packet::Publish(publish)) => Some(Happening::Arrived(Message {
            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
            topic: publish.topic,
            qos: publish.qos,
            retain: publish.retain,
        })),
        _ => None,
    }
}
