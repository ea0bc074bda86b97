//! Sessions and groups come back after the broker was started again. A restored session is simply offline and
//! *behind*; everything else follows on the ordinary paths.

use std::sync::atomic::Ordering;

use longwire_proto::transfer::Stage;
use longwire_proto::{QoS, topic};

use super::{Held, Session};
use crate::address::SessionRef;
use crate::effect::Effects;
use crate::group::post_to_group;
use crate::kept::{KeptContent, KeptDelivery, KeptGroup, KeptSession, KeptSubscription};
use crate::message::Millis;
use crate::parcel::{GroupMail, Lent, MemberTerms};
use crate::routes::{Receiver, Target};
use crate::shard::{Shard, Turn};
use crate::tables::TablesInTurn;

impl Shard {
    /// Takes back what survived and is at home here: groups first, for their members refer to them. To be called before
    /// any input, on all shards before any of them begins a turn. Sessions that were connected when the broker ended
    /// lose their connection now.
    pub fn restore(
        &mut self,
        now: Millis,
        groups: Vec<KeptGroup>,
        sessions: Vec<KeptSession>,
        tables: &mut TablesInTurn<'_>,
        effects: &mut Effects,
    ) {
        let turn = &mut Turn { now, tables, effects };
        for group in groups {
            self.restore_group(group, turn);
        }
        for session in sessions {
            self.restore_session(session, turn);
        }
    }

    fn restore_group(&mut self, kept: KeptGroup, turn: &mut Turn<'_, '_>) {
        let Some(shared) = topic::shared(&kept.filter) else { return };
        turn.tables.routes_mut().restore_group(kept.group, &kept.filter, shared.filter, kept.joins);
        self.groups.entry(kept.group).or_default().restore(kept.settled, kept.finished, kept.lent);
    }

    fn restore_session(&mut self, kept: KeptSession, turn: &mut Turn<'_, '_>) {
        let address = kept.session;
        if !self.insert_session_at(address, Session::new(&kept.client_id, true, kept.expiry_secs)) {
            return;
        }
        turn.tables.sessions().fetch_add(1, Ordering::Relaxed);
        for subscription in &kept.subscriptions {
            self.restore_subscription(address, subscription, turn);
        }
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let extra = session.extra_mut();
        extra.will = kept.will;
        extra.log.read_through = kept.read_through;
        extra.log.behind = true;
        for packet_id in kept.inbound {
            extra.incoming.receive(packet_id);
        }
        for delivery in kept.outbound {
            let KeptDelivery { packet_id, qos, stage } = delivery;
            let stage = match stage {
                Stage::Publish(content) => Stage::Publish(held(content, qos)),
                Stage::Release => Stage::Release,
            };
            extra.outgoing.restore(packet_id, qos, stage);
        }
        match kept.left_at {
            Some(left_at) => self.set_timers(address, left_at),
            None if kept.expiry_secs > 0 => self.wait_for_return(address, turn),
            None => self.end_session(address, 0, turn),
        }
    }

    fn restore_subscription(
        &mut self,
        address: SessionRef,
        kept: &KeptSubscription,
        turn: &mut Turn<'_, '_>,
    ) {
        let KeptSubscription { filter, options, identifier, group } = kept;
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let Some(group) = *group else {
            let target = Target::new(Receiver::Session(address), *options, *identifier);
            let (filter, is_new) = turn.tables.routes_mut().subscribe(filter, target);
            if is_new {
                session.subscriptions.add(filter);
            }
            return;
        };
        let Some(shared) = topic::shared(filter) else { return };
        if !session.extra_mut().memberships.insert(group) {
            return;
        }
        // Its joins were counted when it joined.
        turn.tables.routes_mut().join(filter, shared.filter, group.shard, false);
        let terms = MemberTerms {
            qos: options.qos,
            retain_as_published: options.retain_as_published,
            identifier: *identifier,
        };
        post_to_group(GroupMail::Join { group, member: address, terms }, turn);
    }
}

fn held(content: KeptContent, qos: QoS) -> Held {
    match content {
        KeptContent::Logged { position, retain } => Held::Kept { position, qos, retain },
        KeptContent::Retained { message, identifier } => Held::Retained { message, qos, identifier },
        KeptContent::Lent { group, position, retain, identifier, message } => {
            let lent = Box::new(Lent { group, message, position: Some(position) });
            Held::Lent { lent, qos, retain, identifier }
        }
    }
}
