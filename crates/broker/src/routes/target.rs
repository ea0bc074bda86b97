//! Who receives what a filter matches, and how: sixteen bytes a subscription.

use longwire_proto::QoS;

use crate::address::{GroupRef, SessionRef};

/// Who receives: a session, or a shared group that hands the message to one of its members.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub enum Receiver {
    /// A session of its own.
    Session(SessionRef),
    /// A shared group `[MQTT-4.8.2-4]`.
    Group(GroupRef),
}

/// Options of a subscription, as far as they decide about deliveries.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub struct TargetOptions {
    /// Highest QoS of deliveries `[MQTT-3.8.4-8]`.
    pub qos: QoS,
    /// Nothing comes back to the session that published it `[MQTT-3.8.3-3]`.
    pub no_local: bool,
    /// RETAIN is forwarded as it was published `[MQTT-3.3.1-13]`.
    pub retain_as_published: bool,
    /// The receiver outlives its connection, so that its messages are kept.
    pub durable: bool,
}

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const DURABLE: u8 = 1 << 4;

impl Receiver {
    /// Its home shard.
    pub fn shard(&self) -> u16 {
        match self {
            Receiver::Session(session) => session.shard,
            Receiver::Group(group) => group.shard,
        }
    }
}

impl TargetOptions {
    /// One byte: QoS, No Local and Retain As Published where SUBSCRIBE has them, above them whether it is durable.
    pub fn to_bits(self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        self.qos as u8
            | flag(self.no_local, NO_LOCAL)
            | flag(self.retain_as_published, RETAIN_AS_PUBLISHED)
            | flag(self.durable, DURABLE)
    }

    /// The options that [`TargetOptions::to_bits`] wrote; `None` for any other byte.
    pub fn from_bits(bits: u8) -> Option<Self> {
        if bits > (DURABLE | RETAIN_AS_PUBLISHED | NO_LOCAL | 3) {
            return None;
        }
        Some(TargetOptions {
            qos: QoS::from_bits(bits & 3)?,
            no_local: bits & NO_LOCAL != 0,
            retain_as_published: bits & RETAIN_AS_PUBLISHED != 0,
            durable: bits & DURABLE != 0,
        })
    }
}

/// One subscription of a filter. The parts of its receiver are stored apart, or they would need four bytes more.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Target {
    slot: u32,
    subscription_identifier: u32,
    generation: u16,
    shard: u16,
    kind: Kind,
    qos: QoS,
    options: u8,
}

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Kind {
    Session,
    Group,
}

impl Target {
    /// A subscription of `receiver`; `subscription_identifier` is 0 if it has none.
    pub fn new(receiver: Receiver, options: TargetOptions, subscription_identifier: u32) -> Self {
        let (kind, slot, generation, shard) = match receiver {
            Receiver::Session(session) => (Kind::Session, session.slot, session.generation, session.shard),
            Receiver::Group(group) => (Kind::Group, group.slot, group.generation, group.shard),
        };
        let (qos, options) = (options.qos, options.to_bits());
        Target { slot, subscription_identifier, generation, shard, kind, qos, options }
    }

    /// Who receives.
    pub fn receiver(&self) -> Receiver {
        let Target { slot, generation, shard, .. } = *self;
        match self.kind {
            Kind::Session => Receiver::Session(SessionRef { slot, generation, shard }),
            Kind::Group => Receiver::Group(GroupRef { slot, generation, shard }),
        }
    }

    /// Options of the subscription.
    pub fn options(&self) -> TargetOptions {
        TargetOptions {
            qos: self.qos,
            no_local: self.options & NO_LOCAL != 0,
            retain_as_published: self.options & RETAIN_AS_PUBLISHED != 0,
            durable: self.is_durable(),
        }
    }

    /// True if the receiver outlives its connection.
    pub fn is_durable(&self) -> bool {
        self.options & DURABLE != 0
    }

    /// Subscription identifier, 0 if there is none.
    pub fn subscription_identifier(&self) -> u32 {
        self.subscription_identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_fits_in_sixteen_bytes() {
        assert_eq!(size_of::<Target>(), 16);
    }

    #[test]
    fn options_survive_the_way_through_their_byte_and_other_bytes_are_refused() {
        for bits in 0..=u8::MAX {
            let valid = bits < 32 && bits & 3 != 3;
            assert_eq!(TargetOptions::from_bits(bits).map(TargetOptions::to_bits), valid.then_some(bits));
        }
    }

    #[test]
    fn a_target_gives_back_what_it_was_made_of() {
        let session = SessionRef { slot: 7, generation: 8, shard: 9 };
        let group = GroupRef { slot: 7, generation: 8, shard: 9 };
        for receiver in [Receiver::Session(session), Receiver::Group(group)] {
            for bits in (0..32).filter(|bits| bits & 3 != 3) {
                let options = TargetOptions::from_bits(bits).unwrap();
                let target = Target::new(receiver, options, 268_435_455);
                assert_eq!(target.receiver(), receiver);
                assert_eq!(target.options(), options);
                assert_eq!(target.subscription_identifier(), 268_435_455);
            }
        }
    }
}
