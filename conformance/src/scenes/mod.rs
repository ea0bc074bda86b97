//! All scenes, one file per area, and what each of them proves.
//!
//! A scene is a private function of its file and stands in that file's list. One that is missing from the list
//! is dead code, and a file that is missing from [`all`] has a dead list: both are errors of the compiler here.
#![deny(dead_code)]

use longwire_proto::Version;

use crate::failure::Check;
use crate::stage::Stage;

mod alias;
mod capability;
mod change;
mod clock;
mod connect;
mod expiry;
mod flow;
mod group;
mod limits;
mod malformed;
mod matching;
mod order;
mod packet_id;
mod path;
mod qos;
mod quota;
mod retained;
mod session;
mod shared;
mod size;
mod state;
mod stream;
mod subscription;
mod vectors;
mod version_3_1;
mod will;
mod will_time;

/// One behaviour, played in one or both versions.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    path: &'static str,
    /// Hard cases and unnumbered rules, separated by blanks: `A07 U5-31`.
    cases: &'static str,
    /// Numbered statements of 3.1.1 without their prefix, if the scene plays in 3.1.1.
    v311: Option<&'static str>,
    /// Numbered statements of 5.0 without their prefix, if the scene plays in 5.0.
    v5: Option<&'static str>,
    /// It hears or disturbs all other scenes, so it plays when they are done.
    pub(crate) alone: bool,
    play: Play,
}

/// What a scene does.
#[derive(Clone, Copy)]
enum Play {
    /// A script of its own.
    Script(fn(&Stage<'_>) -> Check),
    /// Bytes of the table of vectors.
    Vector(vectors::Vector),
    /// Bytes of the tables of malformed packets.
    Row(&'static malformed::Row),
}

impl Scene {
    /// File and function, such as `qos::new_message_under_an_acknowledged_id`.
    pub(crate) fn name(&self) -> String {
        match self.play {
            Play::Script(_) => self.path.rsplit("scenes::").next().unwrap_or(self.path).to_owned(),
            Play::Vector(_) => format!("vectors::{}", self.path),
            Play::Row(_) => format!("malformed::{}", self.path),
        }
    }

    /// Whether it plays in this version.
    pub(crate) fn plays_in(&self, version: Version) -> bool {
        self.statements(version).is_some()
    }

    /// Every id it proves in this version, hard cases first.
    pub(crate) fn proves(&self, version: Version) -> Vec<String> {
        let cases = self.cases.split_whitespace().map(str::to_owned);
        let statements = self.statements(version).unwrap_or_default().split_whitespace();
        cases.chain(statements.map(|number| format!("MQTT-{number}"))).collect()
    }

    /// Plays it.
    pub(crate) fn perform(&self, stage: &Stage<'_>) -> Check {
        match self.play {
            Play::Script(script) => script(stage),
            Play::Vector(vector) => vector.perform(stage),
            Play::Row(row) => row.perform(stage),
        }
    }

    fn statements(&self, version: Version) -> Option<&'static str> {
        if version == Version::V5 { self.v5 } else { self.v311 }
    }
}

/// Lists the scenes of a file: `both function "hard cases" "3.1.1 statements" "5.0 statements";`,
/// or `v311` or `v5` with the statements of that version only; `alone` at the end where it must be.
macro_rules! scenes {
    ($($kind:ident $function:ident $cases:literal $($statements:literal)+ $($alone:ident)?;)+) => {
        pub(super) const SCENES: &[$crate::scenes::Scene] = &[
            $($crate::scenes::Scene {
                path: concat!(module_path!(), "::", stringify!($function)),
                cases: $cases,
                v311: $crate::scenes::scenes!(@v311 $kind $($statements)+),
                v5: $crate::scenes::scenes!(@v5 $kind $($statements)+),
                alone: $crate::scenes::scenes!(@alone $($alone)?),
                play: $crate::scenes::Play::Script($function),
            },)+
        ];
    };
    (@v311 both $v311:literal $v5:literal) => { Some($v311) };
    (@v311 v311 $v311:literal) => { Some($v311) };
    (@v311 v5 $v5:literal) => { None };
    (@v5 both $v311:literal $v5:literal) => { Some($v5) };
    (@v5 v311 $v311:literal) => { None };
    (@v5 v5 $v5:literal) => { Some($v5) };
    (@alone alone) => { true };
    (@alone) => { false };
}
use scenes;

/// Every scene there is; those with clocks come first, so that the quick ones play beside them.
pub(crate) fn all() -> Vec<Scene> {
    let scripts = [
        clock::SCENES,
        connect::SCENES,
        flow::SCENES,
        expiry::SCENES,
        size::SCENES,
        alias::SCENES,
        limits::SCENES,
        capability::SCENES,
        quota::SCENES,
        will::SCENES,
        will_time::SCENES,
        session::SCENES,
        state::SCENES,
        qos::SCENES,
        packet_id::SCENES,
        group::SCENES,
        shared::SCENES,
        retained::SCENES,
        subscription::SCENES,
        change::SCENES,
        matching::SCENES,
        path::SCENES,
        order::SCENES,
        stream::SCENES,
        version_3_1::SCENES,
    ];
    let mut scenes = scripts.concat();
    scenes.extend(malformed::scenes());
    scenes.extend(vectors::scenes());
    scenes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::{Family, family_of, statements};

    #[test]
    fn every_id_that_a_scene_quotes_is_in_the_specification() {
        let table = statements();
        let known: BTreeSet<(Family, &str)> =
            table.iter().map(|statement| (statement.family, statement.id)).collect();
        for scene in all() {
            for version in [Version::V311, Version::V5].into_iter().filter(|&version| scene.plays_in(version))
            {
                for id in scene.proves(version) {
                    let is_known = known.contains(&(family_of(&id, version), id.as_str()));
                    assert!(is_known, "{} quotes {id}, which nobody has stated", scene.name());
                }
            }
        }
    }

    #[test]
    fn no_two_scenes_have_one_name() {
        let names: BTreeSet<String> = all().iter().map(Scene::name).collect();
        assert_eq!(names.len(), all().len());
    }
}
