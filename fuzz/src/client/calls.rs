//! What the owner of the client does: its calls, and the passing of time.

use longwire_proto::client::Publication;
use longwire_proto::packet::{QoS, RetainHandling, SubscribeOptions};
use longwire_proto::property::{Properties, PropertiesBuf, Property};

use super::run::Run;
use super::{REASONS, TOPICS};

const FILTERS: [&str; 6] = ["a", "b/#", "$share/g/c", "+", "d", "#/e"];

/// More than the client puts into its output at once.
const LARGE: usize = 40_000;

impl Run {
    pub(super) fn connect(&mut self) {
        self.client.connect(self.now_ms);
        self.server.opened();
    }

    /// The transport breaks. What was in the output may have been written or not, and counts as written.
    pub(super) fn close(&mut self) {
        self.drain();
        self.server.reads(self.client.output());
        self.client.transport_closed();
        self.server.closed();
    }

    pub(super) fn publish(&mut self, bits: u8, properties: u8) {
        let serial = self.owner.next_serial();
        let qos = QoS::from_bits(bits & 3).unwrap_or(QoS::ExactlyOnce);
        let mut payload = serial.to_be_bytes().to_vec();
        payload.resize([4, 12, 40, LARGE][usize::from(bits >> 6)], b'x');
        let mut buffer = PropertiesBuf::new();
        let may = [
            Property::MessageExpiryInterval(1),
            Property::TopicAlias(1),
            Property::ContentType("c"),
            Property::ContentType("\0"),
        ];
        buffer.extend(
            may.iter().enumerate().filter(|(bit, _)| properties & 1 << bit != 0).map(|(_, item)| *item),
        );
        let publication = Publication {
            topic: TOPICS[usize::from(bits >> 4 & 3)],
            payload: &payload,
            qos,
            retain: bits & 4 != 0,
            properties: buffer.as_properties(),
        };
        match self.client.publish(self.now_ms, &publication) {
            Ok(request) => self.owner.published(request, serial, qos),
            Err(error) => self.feature(20 + error as u32),
        }
    }

    pub(super) fn subscribe(&mut self, bits: u8, options: u8) {
        let options = SubscribeOptions {
            qos: QoS::AtLeastOnce,
            no_local: options & 1 != 0,
            retain_as_published: options & 2 != 0,
            retain_handling: if options & 4 != 0 {
                RetainHandling::Never
            } else {
                RetainHandling::AtSubscribe
            },
        };
        let filters: Vec<_> = chosen_filters(bits).map(|filter| (filter, options)).collect();
        let identifier = (bits & 0x80 != 0).then_some(Property::SubscriptionIdentifier(7));
        let properties: PropertiesBuf = identifier.into_iter().collect();
        if let Ok(request) = self.client.subscribe(self.now_ms, &filters, properties.as_properties()) {
            self.owner.requests.insert(request, (true, filters.len()));
        }
    }

    pub(super) fn unsubscribe(&mut self, bits: u8) {
        let filters: Vec<_> = chosen_filters(bits).collect();
        if let Ok(request) = self.client.unsubscribe(self.now_ms, &filters, Properties::EMPTY) {
            self.owner.requests.insert(request, (false, filters.len()));
        }
    }

    pub(super) fn acknowledge(&mut self, choice: u8) {
        if self.receipts.is_empty() {
            return;
        }
        let place = usize::from(choice) % self.receipts.len();
        let (receipt, delivery) = self.receipts.remove(place);
        self.server.acknowledged(delivery, self.client.is_online());
        self.client.acknowledge(self.now_ms, receipt);
    }

    pub(super) fn disconnect(&mut self, reason: u8, properties: u8) {
        let mut buffer = PropertiesBuf::new();
        if properties & 1 != 0 {
            buffer.push(Property::SessionExpiryInterval(30));
        }
        if properties & 2 != 0 {
            buffer.push(Property::ReasonString("going"));
        }
        let reason = REASONS[usize::from(reason) % REASONS.len()];
        self.client.disconnect(reason, buffer.as_properties());
    }

    pub(super) fn authenticate(&mut self, bits: u8) {
        let data = (bits & 2 != 0).then_some(&b"data"[..]);
        let outcome = if bits & 1 == 0 {
            self.client.authenticate(self.now_ms, data)
        } else {
            self.client.re_authenticate(self.now_ms, data)
        };
        self.feature(30 + u32::from(outcome.is_ok()));
    }

    /// Time passes, and the owner is never late.
    pub(super) fn wait(&mut self, choice: u8) {
        let millis = [1, 100, 1_000, 5_000, 10_000, 45_000, 60_000, 100_000][usize::from(choice % 8)];
        let end = self.now_ms + millis;
        while let Some(at) = self.client.next_deadline().filter(|at| *at <= end) {
            self.now_ms = self.now_ms.max(at);
            self.client.handle_timeout(self.now_ms);
            let next = self.client.next_deadline();
            assert!(next.is_none_or(|next| next > at), "time goes on");
            self.check();
        }
        self.now_ms = end;
        self.client.handle_timeout(end);
    }
}

fn chosen_filters(bits: u8) -> impl Iterator<Item = &'static str> {
    FILTERS.iter().enumerate().filter(move |(bit, _)| bits & 1 << bit != 0).map(|(_, filter)| *filter)
}
