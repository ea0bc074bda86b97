//! The end of a history: everybody comes back and everything settles; what must hold then; and when all sessions have
//! ended, nothing is left.

use std::collections::HashMap;

use longwire_broker::message::NEVER;
use longwire_broker::shard::Holdings;
use longwire_broker::tables::Sizes;
use longwire_proto::packet::{RetainHandling, SubscribeOptions};
use longwire_proto::{QoS, Version};
use longwire_store::journal;

use super::History;
use crate::client::{Client, FLEETING, Got, Outgoing};
use crate::model::{RETAINED, SHARED, Session, topics};

/// Rounds in which everything must settle.
const ROUNDS_MAX: usize = 2_000;

/// Rounds without a word to any client after which everything has settled: one answer may wait for the log several
/// times before anybody hears of it.
const QUIET_ROUNDS: usize = 8;

impl History<'_> {
    /// Everybody whose session stays comes back, reads and acknowledges, until nothing moves any more.
    pub(super) fn settle(&mut self) {
        self.tell_thread(format_args!("everybody comes back"));
        for wire in std::mem::take(&mut self.abandoned) {
            self.world.hang_up(wire, usize::MAX);
        }
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            self.step += 1;
            self.work();
            quiet_rounds += 1;
            for number in 0..self.players.len() {
                let mut is_busy = self.come_back(number);
                while self.receive_one(number) {
                    is_busy = true;
                }
                self.acknowledge(number, usize::MAX);
                if is_busy {
                    quiet_rounds = 0;
                }
            }
            self.check_step();
            if quiet_rounds == QUIET_ROUNDS {
                return;
            }
        }
        panic!("nothing settles");
    }

    /// Everybody works until nobody has anything to do.
    fn work(&mut self) {
        self.world.log.release(u64::MAX);
        self.world.run_all();
        self.note_kept();
    }

    fn come_back(&mut self, number: usize) -> bool {
        let player = &self.players[number];
        if let Some(wire) = player.client.wire {
            self.world.set_room(wire, usize::MAX);
            return false;
        }
        if player.terms.expiry_secs == 0 {
            return false;
        }
        self.begin_connection(number, player.terms, None);
        true
    }

    // --- what must hold then

    pub(super) fn check_settled(&mut self) {
        for session in self.sessions.iter().filter(|session| !session.is_over) {
            let id = &self.players[session.player].client.id;
            if let Some((number, publication)) = session.missing(&self.publications, self.world.now) {
                panic!("{id} never saw {number} to {}", publication.topic);
            }
        }
        for player in &self.players {
            let id = &player.client.id;
            assert!(player.client.wire.is_none() || player.outgoing.is_empty(), "{id} waits for an answer");
            assert!(player.client.wire.is_none() || player.answers.is_empty(), "{id} waits for an answer");
        }
        self.check_groups();
        if !self.publications.may_be_refused {
            self.check_one_order();
        }
        self.check_retained();
    }

    /// What a group with a member that stays accepted went to some member, and at QoS 2 to one only.
    fn check_groups(&self) {
        for (number, publication) in self.publications.all.iter().enumerate() {
            let Some((_, filter)) = SHARED.iter().find(|(topic, _)| *topic == publication.topic) else {
                continue;
            };
            let receivers = self.sessions.iter().filter(|session| session.seen.contains_key(&number)).count();
            let once = self.sessions.iter().filter(|session| session.seen_exactly_once.contains_key(&number));
            assert!(once.count() <= 1, "{number} went to two members of {filter} at QoS 2 [MQTT-4.8.2-5]");
            let stays = self.sessions.iter().any(|session| {
                !session.is_over
                    && session.is_durable
                    && session
                        .subscriptions
                        .iter()
                        .any(|held| held.filter == *filter && held.holds_since(publication.sent_at))
            });
            let is_promised = match publication.qos {
                QoS::AtMostOnce => false,
                QoS::AtLeastOnce => true,
                // It goes with the session of a member that holds it [MQTT-4.8.2-5].
                QoS::ExactlyOnce => !self.sessions.iter().any(|session| session.is_over),
            };
            let is_good = publication.expiry_secs.is_none();
            if stays && publication.accepted && is_promised && is_good {
                assert!(receivers > 0, "no member of {filter} saw {number}");
            }
        }
    }

    /// Live subscribers saw as the last value what a late one finds, and Retain Handling decides who finds it.
    fn check_retained(&mut self) {
        let mut observer = Client::new("observer", Version::V5);
        observer.connect(&mut self.world, FLEETING);
        let found = self.replayed(&mut observer, RetainHandling::AtSubscribe);
        let for_known = self.replayed(&mut observer, RetainHandling::IfNew);
        assert!(for_known.is_empty(), "the subscription was there before [MQTT-3.3.1-10]");
        let never = self.replayed(&mut observer, RetainHandling::Never);
        assert!(never.is_empty(), "nobody asked for retained messages [MQTT-3.3.1-11]");
        let again = self.replayed(&mut observer, RetainHandling::AtSubscribe);
        assert_eq!(again, found, "retained messages, asked for twice [MQTT-3.3.1-9]");
        observer.disconnect(&mut self.world);
        for (topic, qos) in RETAINED {
            let value = found.get(topic).map_or("", String::as_str);
            let Some(first) = self.publications.all.iter().find(|one| one.topic == topic) else { continue };
            for session in self.sessions.iter().filter(|session| !session.is_over) {
                let is_calm = self.plan.setup.limits.outbox_bytes_max > 600;
                let is_sure = qos > QoS::AtMostOnce
                    && session.lowest_qos(topic).is_some_and(|lowest| lowest > QoS::AtMostOnce)
                    || (!session.is_durable && is_calm);
                if let (true, true, Some(last)) =
                    (is_sure, session.sees_last_value(topic, first.sent_at), session.last.get(topic))
                {
                    let id = &self.players[session.player].client.id;
                    assert_eq!(last, value, "last value of {topic} at {id}, and retained");
                }
            }
        }
    }

    /// All see retained publications in one order, those of different publishers too (E09).
    fn check_one_order(&self) {
        for (topic, qos) in RETAINED {
            let orders = || {
                // At QoS 0 all come live; the others in one way only if their level stays the same.
                let is_sure = |session: &&Session| qos == QoS::AtMostOnce || session.is_plain(topic);
                let sessions = self.sessions.iter().filter(is_sure);
                sessions.filter_map(|session| Some((session.player, session.order.get(topic)?)))
            };
            for ((one, seen), (other, seen_there)) in
                orders().flat_map(|one| orders().map(move |other| (one, other)))
            {
                let common: Vec<_> = seen.iter().filter_map(|number| place_of(*number, seen_there)).collect();
                let (one, other) = (&self.players[one].client.id, &self.players[other].client.id);
                assert!(
                    common.is_sorted(),
                    "{one} and {other} saw {topic} in two orders: {seen:?}, {seen_there:?}"
                );
            }
        }
    }

    /// What a SUBSCRIBE with this Retain Handling brings.
    fn replayed(&mut self, observer: &mut Client, handling: RetainHandling) -> HashMap<String, String> {
        let options =
            SubscribeOptions { retain_handling: handling, ..SubscribeOptions::with_qos(QoS::AtMostOnce) };
        observer.subscribe_with(&mut self.world, 1, "r/#", options, 0);
        self.world.run_all();
        let received = observer.received(&mut self.world).into_iter();
        received
            .filter_map(|got| match got {
                Got::Publish(delivery) => Some((delivery.topic, delivery.payload)),
                _ => None,
            })
            .collect()
    }

    // --- and at last

    /// Every session ends and every retained message is cleared, and nothing is left of them.
    pub(super) fn end_all(&mut self) {
        for number in 0..self.players.len() {
            let client = &mut self.players[number].client;
            client.crash(&mut self.world, 0);
            client.connect(&mut self.world, FLEETING);
            self.work();
            self.players[number].client.disconnect(&mut self.world);
        }
        self.work();
        self.clear_retained();
        for _ in 0..QUIET_ROUNDS {
            self.work();
        }
        self.check_nothing_left();
    }

    fn clear_retained(&mut self) {
        let mut cleaner = Client::new("cleaner", Version::V5);
        cleaner.connect(&mut self.world, FLEETING);
        for topic in topics() {
            let (payload, qos) = ("", QoS::AtMostOnce);
            cleaner.publish(
                &mut self.world,
                Outgoing { topic, payload, qos, retain: true, dup: false, packet_id: 0 },
            );
        }
        self.work();
        cleaner.disconnect(&mut self.world);
    }

    fn check_nothing_left(&mut self) {
        for (number, holdings) in self.world.holdings().into_iter().enumerate() {
            assert_eq!(holdings, Holdings::default(), "left on shard {number}");
        }
        assert_eq!(self.world.tables.sizes(), Sizes::default(), "left in the tables");
        assert!(self.world.journal.is_idle(), "the journal has work left");
        assert_eq!(self.world.next_due(), NEVER, "a timer is left");
        self.world.journal.sweep();
        assert_eq!(self.world.journal.holdings(), journal::Holdings::default(), "left in the journal");
    }
}

fn place_of(number: usize, seen: &[usize]) -> Option<usize> {
    seen.iter().position(|found| *found == number)
}
